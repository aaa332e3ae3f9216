package hoststate

// The first two numbers of net.ipv4.tcp_wmem, which earlier versions of mpproxy raised
// for all sockets of the network namespace. Send buffers are set for each connection
// now (pathctl/engine/sendbuffer.go); what a journal of such a version says is still put
// back.
const sendBufferKey = "tcp_wmem"

// ReturnSendBuffer puts back what an earlier version has changed.
func ReturnSendBuffer(j *Journal) error { return returnSysctl(j, sendBufferKey) }
