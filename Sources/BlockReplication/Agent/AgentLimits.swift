package import SiteModel

/// How long an agent waits for what, and how much it takes in at once.
package struct AgentLimits: Sendable {
    /// A transfer is reported at least so often while it is at work, whether or not anything moved.
    package var progressSeconds = 5.0
    /// How long a target may read nothing before its sender gives up; heartbeats show that it lives meanwhile.
    package var writeSeconds = StreamSocket.writeLimitSeconds
    /// How long a new data connection may take to say who it is, once it is encrypted or will not be.
    package var helloSeconds = 3.0
    /// How long a TLS handshake may take.
    package var handshakeSeconds = 10.0
    /// Connections served at once on each socket.
    package var connections = 128

    /// Whether only those 4 KiB blocks of a changed range travel that the target has not got; otherwise all of it does.
    package var comparesBlocks = true

    /// When what travels is compressed.
    package var packing = Packing.whenQuicker

    /// When content is compressed on its way, by a sender whose receiver can unpack it.
    package enum Packing: Sendable {
        case never, always
        /// While the network is what is waited for, and content gives way to compression.
        case whenQuicker
    }

    /// How fast content leaves, over all transfers and connections together.
    package var sending = RateSchedule()

    package init() {}
}
