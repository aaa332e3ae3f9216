// Command mpproxy-client is a SOCKS5 proxy that relays each connection over
// Multipath TCP to a concentrator, over all ways to the Internet that the host
// has.
package main

import (
	"fmt"
	"os"

	"mpproxy/config"
	"mpproxy/internal/cli"
	"mpproxy/internal/report"
)

const description = `A SOCKS5 proxy that uses all your ways to the Internet at once.

With a link from the operator of an mpproxy-server:

  mpproxy-client join        (paste the link; checked, then kept)
  mpproxy-client run
  curl --proxy socks5h://127.0.0.1:1080 https://www.example.org/

An application asks for a mode with its SOCKS user name:

  curl --proxy socks5h://interactive@127.0.0.1:1080 https://www.example.org/`

type grammar struct {
	Run         runCmd           `cmd:"" help:"Run the proxy."`
	Join        joinCmd          `cmd:"" help:"Check a link against its server and keep it."`
	Status      statusCmd        `cmd:"" help:"Show server, paths, connections and their subflows."`
	Events      eventsCmd        `cmd:"" help:"Show what was done to subflows and paths, and why."`
	Replay      report.ReplayCmd `cmd:"" help:"Decide again what was recorded with run --trace, and say what differs."`
	CheckConfig checkConfigCmd   `cmd:"" help:"Say what is wrong with a configuration file."`
	PrintConfig printConfigCmd   `cmd:"" help:"Print the configuration in effect, or every key and its default."`
	Version     cli.VersionCmd   `cmd:"" help:"Print the version."`
}

func main() { cli.Main("mpproxy-client", description, &grammar{}) }

// configFile is the flag that names the configuration; without it the file
// that join writes is used if there is one.
type configFile struct {
	Config string `short:"c" placeholder:"FILE" help:"Configuration file (default: /etc/mpproxy/client.toml for root, else ~/.config/mpproxy/client.toml)."`
}

func (c configFile) path() string {
	if c.Config != "" {
		return c.Config
	}
	return config.DefaultClientPath(os.Getuid(), os.Getenv)
}

// load reads the configuration. Without --config a missing file means the
// defaults.
func (c configFile) load() (config.Client, error) {
	path := c.path()
	if c.Config == "" {
		if path == "" {
			return config.DefaultClient(), nil
		}
		if _, err := os.Stat(path); os.IsNotExist(err) {
			return config.DefaultClient(), nil
		}
	}
	return config.LoadClient(path)
}

type checkConfigCmd struct {
	File string `arg:"" help:"Configuration file."`
}

func (c checkConfigCmd) Run() error {
	conf, err := config.LoadClient(c.File)
	if err == nil {
		err = conf.Validate()
	}
	if err != nil {
		return err
	}
	for _, w := range conf.Warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	fmt.Printf("%s is fine.\n", c.File)
	return conf.Describe(os.Stdout)
}

type printConfigCmd struct {
	configFile
	Reference bool `help:"Print every key with its default and what it means."`
}

func (c printConfigCmd) Run() error {
	if c.Reference {
		_, err := fmt.Print(config.ReferenceClient())
		return err
	}
	conf, err := c.load()
	if err != nil {
		return err
	}
	return conf.Print(os.Stdout)
}
