package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"text/tabwriter"
	"time"

	"rsc.io/qr"

	"mpproxy/config"
	"mpproxy/config/credential"
	"mpproxy/config/joinlink"
	"mpproxy/config/userfile"
)

type userCmd struct {
	Add    userAddCmd    `cmd:"" help:"Add a user and print the link to hand out."`
	List   userListCmd   `cmd:"" help:"List the users."`
	Remove userRemoveCmd `cmd:"" help:"Remove a user: a running server ends the user's connections."`
	Link   userLinkCmd   `cmd:"" help:"Print a user's link again."`
}

type userName struct {
	Name string `arg:"" help:"User name."`
	configFile
}

// lockWait bounds waiting for another program that changes the users file.
const lockWait = 10 * time.Second

type userAddCmd struct{ userName }

func (c userAddCmd) Run() error {
	conf, err := config.LoadServer(c.Config)
	if err != nil {
		return err
	}
	return addUser(conf, c.Name)
}

// addUser adds a user and prints the link.
func addUser(conf config.Server, name string) error {
	key, err := credential.LoadTokenKey(conf.TokenKey)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	user, err := newUser(key, name)
	if err != nil {
		return err
	}
	link, err := linkOf(conf, key, user) // first: without a link the user would be of no use
	if err != nil {
		return err
	}
	_, err = userfile.Update(ctx, conf.Users, func(us userfile.Set) (userfile.Set, error) { return us.Add(user) })
	if err != nil {
		return err
	}
	return show(link)
}

// newUser makes a user with a token of its own. The serial is random, so that
// a user who is removed and added again does not get the old token back.
func newUser(key credential.TokenKey, name string) (userfile.User, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(math.MaxInt32))
	if err != nil {
		return userfile.User{}, fmt.Errorf("making a token: %w", err)
	}
	serial := int(n.Int64()) + 1
	return userfile.User{
		Name: name, Serial: serial, Created: time.Now(),
		Hash: credential.HashToken(credential.Token(key, name, serial)),
	}, nil
}

// load reads the configuration and the users file that it names.
func (c configFile) load() (config.Server, userfile.Set, error) {
	conf, err := config.LoadServer(c.Config)
	if err != nil {
		return conf, userfile.Set{}, err
	}
	users, err := userfile.Load(conf.Users)
	return conf, users, err
}

type userListCmd struct{ configFile }

func (c userListCmd) Run() error {
	_, users, err := c.load()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSINCE\tSTATE")
	for _, u := range users.All() {
		state := "enabled"
		if u.Disabled {
			state = "disabled"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", u.Name, u.Created.Format(time.DateOnly), state)
	}
	return w.Flush()
}

type userRemoveCmd struct{ userName }

func (c userRemoveCmd) Run() error {
	conf, err := config.LoadServer(c.Config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	_, err = userfile.Update(ctx, conf.Users, func(us userfile.Set) (userfile.Set, error) { return us.Remove(c.Name) })
	if err != nil {
		return err
	}
	fmt.Printf("Removed %s.\n", c.Name)
	return nil
}

type userLinkCmd struct{ userName }

func (c userLinkCmd) Run() error {
	conf, users, err := c.load()
	if err != nil {
		return err
	}
	user, ok := users.Lookup(c.Name)
	if !ok {
		return fmt.Errorf("%w: %s: see `mpproxy-server user list`", userfile.ErrUnknown, c.Name)
	}
	key, err := credential.LoadTokenKey(conf.TokenKey)
	if err != nil {
		return err
	}
	link, err := linkOf(conf, key, user)
	if err != nil {
		return err
	}
	return show(link)
}

// linkOf makes the link of a user whose token was made from the token key.
func linkOf(conf config.Server, key credential.TokenKey, user userfile.User) (joinlink.Link, error) {
	token := credential.Token(key, user.Name, user.Serial)
	if credential.HashToken(token) != user.Hash {
		return joinlink.Link{}, fmt.Errorf("the token of %s was not made from %s, so its link cannot be printed again: remove the user and add it anew", user.Name, conf.TokenKey)
	}
	if conf.Public.IsZero() {
		return joinlink.Link{}, errors.New(`the configuration does not say what clients connect to: set public = "HOST:PORT"`)
	}
	link := joinlink.Link{
		User: user.Name, Token: token,
		Host: conf.Public.Host, Port: conf.Public.Port, Security: conf.Security,
	}
	if conf.Security == joinlink.SecurityTLS {
		cert, err := loadCertificate(conf)
		if err != nil {
			return joinlink.Link{}, err
		}
		if link.Pin, err = pinOf(cert); err != nil {
			return joinlink.Link{}, err
		}
	}
	return link, nil
}

// show prints a link, and its QR code where somebody can scan it.
func show(link joinlink.Link) error {
	fmt.Printf("Link for %s (it holds the secret: hand it over in private):\n\n%s\n", link.User, link.URL())
	if st, err := os.Stdout.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	code, err := qr.Encode(link.URL(), qr.L)
	if err != nil {
		return fmt.Errorf("making the QR code: %w", err)
	}
	fmt.Printf("\n%s", halfBlocks(code))
	return nil
}
