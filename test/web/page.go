package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/chromedp"
)

// visitTimeout bounds one visit, with the start of the browser.
const visitTimeout = time.Minute

// settle is how long a browser that has started is given to be done with that.
const settle = 300 * time.Millisecond

// pages measures visits: a new site each time, then the same site again in a browser
// that has seen nothing.
func pages(ctx context.Context, opt options, ways []*way) error {
	if _, err := exec.LookPath("chromium"); err != nil {
		fmt.Printf("  page: left out: %v (Debian has it as chromium)\n", err)
		return nil
	}
	t := newTable("page", ways, "first visit", "next visit")
	for _, site := range sites(opt) {
		for column := range 2 {
			for i, w := range ways {
				took, err := w.visit(ctx, "https://"+hostName(site, 0)+"/")
				if err != nil {
					return fmt.Errorf("page, %s: %w", w.name, err)
				}
				t.add(i, column, took)
			}
		}
	}
	t.print()
	return nil
}

// visit opens a page in a browser in the client's host and returns how long that took.
func (w *way) visit(ctx context.Context, address string) (time.Duration, error) {
	var took time.Duration
	err := w.play(ctx, &took, "visit", w.proxyAddress(), address)
	return took, err
}

// proxyAddress is the way's proxy as a browser takes it.
func (w *way) proxyAddress() string {
	if w.socks == "" {
		return "direct://"
	}
	return "socks5://" + w.socks
}

// play runs this program in a role in the client's host, and reads what it prints.
func (w *way) play(ctx context.Context, result any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := w.rig.Client.Command(ctx, self, append([]string{"-role"}, args...)...).Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, result)
}

// visitRole is VISIT PROXY ADDRESS, both as URLs; no proxy is "direct://".
func visitRole(args []string) error {
	dir, err := os.MkdirTemp("", "browser-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), visitTimeout)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.ProxyServer(args[0]))...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	err = chromedp.Do(ctx, chromedp.Navigate("about:blank"), chromedp.Sleep(settle), chromedp.Navigate(args[1]))
	if err != nil {
		return err
	}
	seen, err := chromedp.Run(ctx, chromedp.PollFunction[loaded](readLoaded, chromedp.WithPollingTimeout(visitTimeout)))
	if err != nil {
		return err
	}
	if err := errors.Join(seen.check(), chromedp.Cancel(ctx)); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(time.Duration(seen.Milliseconds * float64(time.Millisecond)))
}

// loaded is what the browser says of a page: until the end of its load event.
type loaded struct {
	Milliseconds float64
	Objects      int
	Bytes        int64
}

const readLoaded = `() => {
	const page = performance.getEntriesByType("navigation")[0]
	if (!page || page.loadEventEnd == 0) return false
	const all = [page, ...performance.getEntriesByType("resource").filter(e => e.decodedBodySize > 0)]
	return {Milliseconds: page.loadEventEnd, Objects: all.length, Bytes: all.reduce((n, e) => n + e.decodedBodySize, 0)}
}`

func (l loaded) check() error {
	if l.Objects != objectsOfPage || l.Bytes < leastPageBytes {
		return fmt.Errorf("the browser got %d objects and %d bytes of the page's %d and %d", l.Objects, l.Bytes, objectsOfPage, leastPageBytes)
	}
	return nil
}
