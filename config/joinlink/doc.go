// Package joinlink reads and writes the mpproxy:// links that a concentrator gives to its
// users, and the hosts and ports in them. A link holds a token: printing one does not show
// it, and no error of Parse does.
package joinlink
