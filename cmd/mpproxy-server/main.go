// Command mpproxy-server is the concentrator: it takes Multipath TCP
// connections from mpproxy clients and connects to their destinations.
package main

import (
	"fmt"
	"os"

	"mpproxy/config"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/userfile"
	"mpproxy/internal/cli"
	"mpproxy/internal/report"
)

const description = `The concentrator of mpproxy, for a host with a good connection.

  mpproxy-server init --dir /etc/mpproxy --public proxy.example.net:8443
  mpproxy-server run --config /etc/mpproxy/server.toml

init prints a link: give it to the user, who runs mpproxy-client join. Each
further user gets a link of their own from mpproxy-server user add.`

type grammar struct {
	Init        initCmd          `cmd:"" help:"Make key, certificate, configuration and a first user; print the user's link."`
	Run         runCmd           `cmd:"" help:"Run the concentrator."`
	User        userCmd          `cmd:"" help:"Add, list and remove users, and print their links."`
	Status      statusCmd        `cmd:"" help:"Show connections, their subflows, and what is missing on this host."`
	Events      eventsCmd        `cmd:"" help:"Show what was done to subflows, and why."`
	Replay      report.ReplayCmd `cmd:"" help:"Decide again what was recorded with run --trace, and say what differs."`
	CheckConfig checkConfigCmd   `cmd:"" help:"Say what is wrong with a configuration file and the files that it names."`
	PrintConfig printConfigCmd   `cmd:"" help:"Print the configuration in effect, or every key and its default."`
	Version     cli.VersionCmd   `cmd:"" help:"Print the version."`
}

func main() { cli.Main("mpproxy-server", description, &grammar{}) }

// configFile is the flag that names the configuration.
type configFile struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"Configuration file, as written by init."`
}

type checkConfigCmd struct {
	File string `arg:"" help:"Configuration file."`
}

func (c checkConfigCmd) Run() error {
	conf, err := config.LoadServer(c.File)
	if err != nil {
		return err
	}
	warnings, err := conf.CheckFiles()
	if err != nil {
		return err
	}
	if conf.Security == joinlink.SecurityTLS {
		if _, err := loadCertificate(conf); err != nil {
			return err
		}
	}
	if _, err := credential.LoadTokenKey(conf.TokenKey); err != nil {
		return err
	}
	users, err := userfile.Load(conf.Users)
	if err != nil {
		return err
	}
	for _, w := range append(conf.Warnings, append(warnings, users.Warnings()...)...) {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	fmt.Printf("%s is fine, with %d users.\n", c.File, users.Len())
	return conf.Describe(os.Stdout)
}

type printConfigCmd struct {
	Config    string `short:"c" placeholder:"FILE" help:"Configuration file; without one, the defaults are printed."`
	Reference bool   `help:"Print every key with its default and what it means."`
}

func (c printConfigCmd) Run() error {
	if c.Reference {
		_, err := fmt.Print(config.ReferenceServer())
		return err
	}
	conf := config.DefaultServer()
	if c.Config != "" {
		var err error
		if conf, err = config.LoadServer(c.Config); err != nil {
			return err
		}
	}
	return conf.Print(os.Stdout)
}
