package main

import (
	"context"
	"crypto/tls"
	"os"
	"time"

	"mpproxy/config"
	"mpproxy/internal/access"
	"mpproxy/internal/buildinfo"
	"mpproxy/internal/cli"
	"mpproxy/internal/daemon"
	"mpproxy/internal/report"
	"mpproxy/internal/status"
	"mpproxy/internal/steer"
	"mpproxy/pathctl"
	"mpproxy/pathctl/policy"
	"mpproxy/proxy/egress"
	"mpproxy/proxy/leg"
)

type runCmd struct {
	configFile
	report.TraceFlags
}

func (c runCmd) Run() error {
	daemon.SlowMonitor()
	conf, err := config.LoadServer(c.Config)
	if err != nil {
		return err
	}
	warnings, err := conf.CheckFiles()
	if err != nil {
		return err
	}
	read := stampOf(conf.Users) // before the file: a change in between is not missed
	users, err := config.LoadUsers(conf.Users)
	if err != nil {
		return err
	}
	var tlsConfig *tls.Config
	if conf.Security == config.SecurityTLS {
		cert, err := loadCertificate(conf)
		if err != nil {
			return err
		}
		tlsConfig = leg.ServerTLS(cert)
	}
	log := cli.Logger(os.Stderr, conf.Log)
	cli.Warn(log, append(conf.Warnings, append(warnings, users.Warnings()...)...))
	log.Info("starting", "version", buildinfo.Version(), "users", users.Len())

	maxConns, err := cli.MaxConnections(conf.Limits.MaxConnections)
	if err != nil {
		return err
	}
	auth := access.NewRemote(users, conf.Mode, conf.Modes)
	recorder, err := c.Recorder("mpproxy-server", conf.PathManager, log)
	if err != nil {
		return err
	}
	steering := pathctl.ConcentratorConfig{
		Announce: conf.Announce.Addresses, AnnounceAuto: conf.Announce.Auto,
		StateDir: cli.StateDir(), UserSpace: conf.PathManager == config.PathManagerUserSpace,
	}
	var tasks []daemon.Task
	if recorder != nil {
		steering.Recorder = recorder
		tasks = append(tasks, recorder) // it ends when the controller has
	}
	controller := pathctl.NewConcentrator(steering, log)
	concentrator := egress.New(egress.Config{
		Listen: conf.Listen, TLS: tlsConfig, Auth: auth,
		Rules:                 egress.DestinationRules(conf.Destinations),
		MaxConnections:        maxConns,
		MaxConnectionsPerUser: conf.Limits.MaxConnectionsPerUser,
		IdleLegs:              conf.Limits.IdleLegs,
		UserLimit: func(name string) int {
			u, _ := auth.Users().Lookup(name)
			return u.MaxConnections
		},
		HandshakeTimeout: conf.Limits.HandshakeTimeout,
		ConnectTimeout:   conf.Limits.ConnectTimeout,
		AuthFailureDelay: conf.Limits.AuthFailureDelay,
		DrainTimeout:     conf.Limits.DrainTimeout,
		ReceiveBuffer:    cli.ReceiveBuffer(conf.Limits.ReceiveBuffer),
		Relay:            cli.RelayConfig(conf.Limits.Limits), Log: log,
		Observer: steer.Observer{Controller: controller, Role: policy.Concentrator, Modes: conf.Modes},
	})
	watch := newUserWatch(conf.Users, read, auth, concentrator, log)
	looks, err := report.AdminTasks(report.AdminConfig{
		Program: status.Concentrator, Socket: conf.Admin.SocketPath(os.Getuid(), os.Getenv), HTTP: conf.Admin.HTTP,
		Modes: conf.Modes, Source: &collector{conf, time.Now(), controller, concentrator}, Decisions: controller.Decisions, Log: log,
	})
	if err != nil {
		return err
	}
	tasks = append(append(tasks, controller, watch), append(looks, concentrator)...)
	return daemon.Run(context.Background(), daemon.Config{Log: log, Reload: watch.reload}, tasks...)
}
