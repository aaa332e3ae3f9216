package clients

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/test/netns/apps"
	"mpproxy/test/netns/rig"
	"mpproxy/test/scenarios/scene"
)

// fetched is what the programs below fetch.
const (
	fetchedSize = 100_000
	fetchedURL  = "http://dest.example/bytes/100K"
)

// program is a real program that uses the proxy, as Debian packages it.
type program struct {
	name  string
	needs []string          // tools, on PATH or as absolute paths of files
	files map[string]string // that it reads, written to its directory, which DIR stands for
	env   []string
	args  []string // the program first
	// says is sent to the echo server and comes back; empty: it fetches fetchedURL.
	says string
}

var programs = []program{
	{
		name: "proxychains", needs: []string{"proxychains4", "curl"},
		files: map[string]string{"conf": "strict_chain\nproxy_dns\n[ProxyList]\nsocks5 127.0.0.1 1080\n"},
		args:  []string{"proxychains4", "-q", "-f", "DIR/conf", "curl", "-sS", "--fail", fetchedURL},
	},
	{
		name: "torsocks", needs: []string{"torsocks", "curl"},
		files: map[string]string{"conf": "TorAddress 127.0.0.1\nTorPort 1080\nIsolatePID 1\n"},
		env:   []string{"TORSOCKS_CONF_FILE=DIR/conf"},
		args:  []string{"torsocks", "curl", "-4", "-sS", "--fail", fetchedURL},
	},
	{
		name: "socksify", needs: []string{"socksify", "curl"},
		files: map[string]string{"conf": "resolveprotocol: fake\nroute {\n from: 0.0.0.0/0 to: 0.0.0.0/0 via: 127.0.0.1 port = 1080\n proxyprotocol: socks_v5\n command: connect\n method: none\n}\n"},
		env:   []string{"SOCKS_CONF=DIR/conf"},
		args:  []string{"socksify", "curl", "-4", "-sS", "--fail", fetchedURL},
	},
	{
		name: "nc", needs: []string{"nc.openbsd"},
		args: []string{"nc.openbsd", "-N", "-X", "5", "-x", rig.Socks, "dest.example", "7"}, says: "hello from nc",
	},
	{
		name: "ncat", needs: []string{"ncat"},
		args: []string{"ncat", "--proxy-type", "socks5", "--proxy", rig.Socks, "--proxy-dns", "remote", "dest.example", "7"}, says: "hello from ncat",
	},
	{
		name: "Python", needs: []string{"/usr/bin/python3", "/usr/lib/python3/dist-packages/socks.py"},
		files: map[string]string{"fetch.py": `import socks, sys, urllib.request
import sockshandler
o = urllib.request.build_opener(sockshandler.SocksiPyHandler(socks.SOCKS5, "127.0.0.1", 1080, True, "x7f3", "x7f3"))
sys.stdout.buffer.write(o.open(sys.argv[1]).read())
`},
		args: []string{"/usr/bin/python3", "DIR/fetch.py", fetchedURL},
	},
	{
		name: "Java", needs: []string{"java", "javac"},
		files: map[string]string{"Fetch.java": `import java.net.*;
public class Fetch {
	public static void main(String[] args) throws Exception {
		Proxy p = new Proxy(Proxy.Type.SOCKS, InetSocketAddress.createUnresolved("127.0.0.1", 1080));
		new URL(args[0]).openConnection(p).getInputStream().transferTo(System.out);
		System.out.flush();
	}
}
`},
		args: []string{"java", "DIR/Fetch.java", fetchedURL},
	},
	{
		name: "apt", needs: []string{"/usr/lib/apt/apt-helper"},
		args: []string{
			"sh", "-c", "/usr/lib/apt/apt-helper -q -o Acquire::http::Proxy=socks5h://" + rig.Socks + " -o APT::Sandbox::User=root download-file " +
				fetchedURL + " DIR/file >&2 && cat DIR/file",
		},
	},
}

// TestPrograms: programs that know SOCKS5, or are made to speak it, fetch something.
func TestPrograms(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks()})
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) { p.run(t, r) })
	}
}

// TestProgramsThatCannotAnswer: programs that offer to show a user name and have none are
// not asked for one.
func TestProgramsThatCannotAnswer(t *testing.T) {
	t.Parallel()
	r := scene.Start(t, rig.Config{EditClient: scene.With("socks.ask = false")})
	for _, p := range []program{
		{
			name: "tsocks", needs: []string{"tsocks", "curl"},
			files: map[string]string{"conf": "server = 127.0.0.1\nserver_port = 1080\nserver_type = 5\n"},
			env:   []string{"TSOCKS_CONF_FILE=DIR/conf"},
			args:  []string{"tsocks", "curl", "-4", "-sS", "--fail", fetchedURL},
		},
		{
			name: "connect-proxy", needs: []string{"connect-proxy"},
			args: []string{"connect-proxy", "-R", "remote", "-S", rig.Socks, "dest.example", "7"}, says: "hello from connect-proxy",
		},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(t, r) })
	}
}

func (p program) run(t *testing.T, r *rig.Rig) {
	for _, tool := range p.needs {
		if _, err := exec.LookPath(tool); err != nil && !fileExists(tool) {
			t.Skipf("%s is not installed: this test drives the real program", tool)
		}
	}
	dir := t.TempDir()
	for name, content := range p.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := make([]string, len(p.args))
	for i, a := range p.args {
		args[i] = strings.ReplaceAll(a, "DIR", dir)
	}
	cmd := r.Client.Command(scene.Patient(t), args[0], args[1:]...)
	for _, e := range p.env {
		cmd.Env = append(cmd.Env, strings.ReplaceAll(e, "DIR", dir))
	}
	cmd.Stdin = strings.NewReader(p.says)
	var diagnosis strings.Builder
	cmd.Stderr = &diagnosis
	want := p.says
	if want == "" {
		content, err := io.ReadAll(apps.NewContent(fetchedSize))
		if err != nil {
			t.Fatal(err)
		}
		want = string(content)
	}
	got, err := cmd.Output()
	if err != nil || string(got) != want {
		t.Errorf("%v; got %d bytes, want %d\n%s", err, len(got), len(want), &diagnosis)
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return filepath.IsAbs(path) && err == nil
}

// TestChromium: a browser opens a page by its name through the proxy.
func TestChromium(t *testing.T) {
	t.Parallel()
	chromium := scene.Need(t, "chromium")
	r := scene.Start(t, rig.Config{Links: scene.ClientLinks()})
	port := serveHTTP(t, r.Destination, pageHandler{})
	out, err := r.Client.Command(
		scene.Patient(t), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir="+t.TempDir(),
		"--proxy-server=socks5://"+rig.Socks, "--dump-dom", fmt.Sprintf("http://dest.example:%d/", port),
	).Output()
	if err != nil || !strings.Contains(string(out), pageText) {
		t.Errorf("%v; the page is %q", err, out)
	}
}

const pageText = "a page through the proxy"

// pageHandler serves one page.
type pageHandler struct{}

// ServeHTTP implements http.Handler.
func (pageHandler) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<html><body>"+pageText+"</body></html>")
}
