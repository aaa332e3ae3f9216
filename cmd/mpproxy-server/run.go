package main

import (
	"context"
	"crypto/tls"
	"os"
	"time"

	"mpproxy/accounts/file"
	"mpproxy/config"
	"mpproxy/config/joinlink"
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
	"mpproxy/proxy/egress/destination"
	"mpproxy/proxy/leg"
	"mpproxy/proxy/serve"
)

type runCmd struct {
	configFile
	report.TraceFlags
}

func (c runCmd) Run() error {
	conf, err := config.LoadServer(c.Config)
	if err != nil {
		return err
	}
	warnings, err := conf.CheckFiles()
	if err != nil {
		return err
	}
	log := cli.Logger(os.Stderr, conf.Log)
	store, err := file.Open(conf.Users, log)
	if err != nil {
		return err
	}
	var tlsConfig *tls.Config
	if conf.Security == joinlink.SecurityTLS {
		cert, err := loadCertificate(conf)
		if err != nil {
			return err
		}
		tlsConfig = leg.ServerTLS(cert)
	}
	cli.Warn(log, append(conf.Warnings, append(warnings, store.Warnings()...)...))
	log.Info("starting", "version", buildinfo.Version(), "users", store.Len())

	room, err := cli.OurRoom()
	if err != nil {
		return err
	}
	strangers := room.MaxStrangers(conf.Limits.MaxUnauthenticated)
	recorder, err := c.Recorder("mpproxy-server", conf.PathManager, log)
	if err != nil {
		return err
	}
	steering := pathctl.ConcentratorConfig{
		Announce: conf.Announce.Addresses, AnnounceAuto: conf.Announce.Auto,
		MostSubflows: conf.Limits.MaxSubflows, StateDir: cli.StateDir(), UserSpace: conf.PathManager == config.PathManagerUserSpace,
	}
	var tasks []daemon.Task
	if recorder != nil {
		steering.Recorder = recorder
		tasks = append(tasks, recorder) // it ends when the controller has
	}
	auth := access.Remote{Store: store, Default: conf.Mode, Modes: conf.Modes}
	controller := pathctl.NewConcentrator(steering, log)
	concentrator := egress.New(egress.Config{
		Listen: conf.Listen, TLS: tlsConfig, Auth: auth, Still: auth.Still,
		Rules:  destination.Rules{Allow: conf.Destinations.Allow, Deny: conf.Destinations.Deny, Ports: conf.Destinations.Ports},
		Public: conf.Public.Host,
		Strangers: serve.StrangerLimits{
			Most: strangers, PerSource: conf.Limits.MaxUnauthenticatedPerSource,
			V4Bits: conf.Limits.SourceBitsIPv4, V6Bits: conf.Limits.SourceBitsIPv6,
		},
		MaxConnections:        room.MaxConnections(conf.Limits.MaxConnections, strangers),
		MaxConnectionsPerUser: conf.Limits.MaxConnectionsPerUser,
		IdleLegs:              conf.Limits.IdleLegs,
		UserLimit: func(ctx context.Context, name string) (int, error) {
			limits, err := store.Limits(ctx, name)
			return limits.Connections, err
		},
		HandshakeTimeout: conf.Limits.HandshakeTimeout,
		ConnectTimeout:   conf.Limits.ConnectTimeout,
		AuthFailureDelay: conf.Limits.AuthFailureDelay,
		DrainTimeout:     conf.Limits.DrainTimeout,
		ReceiveBuffer:    cli.ReceiveBuffer(conf.Limits.ReceiveBuffer),
		Relay:            cli.RelayConfig(conf.Limits.Limits), Log: log,
		Observer: steer.Observer{Controller: controller, Role: policy.Concentrator, Modes: conf.Modes},
	})
	looks, err := report.AdminTasks(report.AdminConfig{
		Program: status.Concentrator, Socket: conf.Admin.SocketPath(os.Getuid(), os.Getenv), HTTP: conf.Admin.HTTP,
		Modes: conf.Modes, Source: &collector{conf, time.Now(), controller, concentrator}, Decisions: controller.Decisions, Log: log,
	})
	if err != nil {
		return err
	}
	tasks = append(append(tasks, controller, store, newCutOff(auth, concentrator.Table(), log)), append(looks, concentrator)...)
	return daemon.Run(context.Background(), daemon.Config{Log: log, Reload: store.Reload}, tasks...)
}
