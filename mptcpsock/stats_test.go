package mptcpsock

import (
	"testing"

	"mpproxy/mptcpsock/uapi"
)

// TestStatsShares: the shares of the subflows add up.
func TestStatsShares(t *testing.T) {
	st := statsOf([]Subflow{
		{ID: 1, TCP: uapi.TCPInfo{State: uapi.TCPEstablished, BytesSent: 300, BytesReceived: 10}},
		{ID: 2, TCP: uapi.TCPInfo{State: uapi.TCPEstablished, BytesSent: 100}},
		{ID: 3, TCP: uapi.TCPInfo{State: uapi.TCPClose, BytesSent: 1000}},
	})
	if st.Sent != 400 || len(st.Subflows) != 2 || st.Subflows[0].SentShare != 0.75 || st.Subflows[1].SentShare != 0.25 || st.Subflows[0].ReceivedShare != 1 {
		t.Errorf("%+v", st)
	}
	if st := statsOf([]Subflow{{ID: 1, TCP: uapi.TCPInfo{State: uapi.TCPEstablished}}}); st.Subflows[0].SentShare != 0 {
		t.Errorf("%+v", st)
	}
}
