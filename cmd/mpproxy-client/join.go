package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"time"

	"mpproxy/config"
	"mpproxy/config/joinlink"
	"mpproxy/config/tomlfile"
	"mpproxy/pathctl/netpath"
	"mpproxy/proxy/leg"
)

// joinTimeout bounds the check of a link.
const joinTimeout = 15 * time.Second

type joinCmd struct {
	configFile
	Link string `arg:"" optional:"" help:"The mpproxy:// link; read from standard input when it is not given, which keeps it out of the process list."`
}

func (c joinCmd) Run() error {
	path := c.path()
	if path == "" {
		return errors.New("neither $XDG_CONFIG_HOME nor $HOME says where configurations belong: name a file with --config")
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already: to use another server, put its link into that file, or remove the file and join again", path)
	}
	text := c.Link
	if text == "" {
		var err error
		if text, err = readLink(os.Stdin); err != nil {
			return err
		}
	}
	link, err := joinlink.Parse(text)
	if err != nil {
		return err
	}
	fmt.Printf("Checking %s … ", link.HostPort())
	if err := check(link); err != nil {
		fmt.Println("failed.")
		return fmt.Errorf("%w\nNothing was written. %s", err, leg.Advice(err))
	}
	fmt.Println("it answers and accepts the token.")
	if err := tomlfile.WritePrivate(path, config.ClientTOML(link)); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%w: run this with the rights of that directory's owner, or name another file with --config", err)
		}
		return err
	}
	fmt.Printf("Wrote %s. Start the proxy with: mpproxy-client run%s\n", path, c.runFlag())
	return nil
}

func (c joinCmd) runFlag() string {
	if c.Config == "" {
		return ""
	}
	return " --config " + c.Config
}

func check(link joinlink.Link) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	conf := config.DefaultClient()
	conf.Link = link
	up := legConfig(conf)
	// What the client will use is what is checked. Where there is no path yet, the
	// default route is.
	if paths, err := netpath.Discover(ctx, netpath.Config{}, nil); err == nil {
		up.Paths = leg.NewRanking(presentPaths(paths), nil, nil)
	}
	return leg.New(up).Check(ctx, "")
}

// presentPaths are the paths at one moment, of which nothing else is known.
type presentPaths []netpath.Path

// Candidates implements leg.Source.
func (ps presentPaths) Candidates() (out []leg.Candidate) {
	for _, p := range ps {
		if p.State == netpath.Up {
			out = append(out, candidatesOn(p)...)
		}
	}
	return out
}

// readLink reads what was pasted: up to the end of the input or, on a
// terminal, of the first line that has something on it.
func readLink(in *os.File) (string, error) {
	if st, err := in.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		fmt.Print("Paste the mpproxy:// link: ")
		scan := bufio.NewScanner(in)
		for scan.Scan() {
			if s := strings.TrimSpace(scan.Text()); s != "" {
				return s, nil
			}
		}
		return "", errors.Join(scan.Err(), errors.New("no link was given"))
	}
	const most = 64 << 10 // a link has a few hundred bytes
	b, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return "", fmt.Errorf("reading the link: %w", err)
	}
	return string(b), nil
}
