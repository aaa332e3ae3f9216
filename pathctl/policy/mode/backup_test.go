package mode

import (
	"testing"

	. "mpproxy/pathctl/policy"
)

func TestBackup(t *testing.T) {
	run(t, Backup, []row{
		{name: "start", subs: on1, paths: ways(wifi(), dsl(), lte()), want: "1 +dsl b"},
		{name: "metered, too", subs: on1, paths: ways(wifi(), lte()), want: "1 +lte b"},
		{name: "stays", subs: []Subflow{on(1, "wifi"), backedUp(on(2, "lte"))}, paths: ways(wifi(), lte()), want: "1 2b"},
		{name: "fails", subs: []Subflow{stalled(on(1, "wifi"), 300*ms), backedUp(on(2, "lte"))}, paths: ways(wifi(), lte()), want: "2 -1 failed"},
	})
}
