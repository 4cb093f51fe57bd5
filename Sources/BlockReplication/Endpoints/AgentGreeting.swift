/// Shows that an agent of this protocol's version listens somewhere, without a point to send.
///
/// Its hello has a ticket that no agent gives out; an agent refuses it in words that only an agent has.
enum AgentGreeting {
    static func run(over socket: StreamSocket, _ probe: EndpointProbe) throws {
        let place = EndpointNames.joined(probe.host, probe.port)
        let channel = WireChannel(socket)
        defer { channel.end() }
        let hello = WireHello(
            token: [UInt8](repeating: 0, count: WireHello.tokenSize), relationship: "doctor", generation: "doctor",
            disk: "doctor")
        do {
            try hello.encoded().withUnsafeBytes { try channel.send(.hello, $0) }
            try channel.receiveMessage { _, _ in }
        } catch let error as ReplicationError {
            switch error.code {
            case .notAuthorized: return
            case .disconnected where socket.interrupt.reason != nil: throw error
            case .protocolViolation, .checksumMismatch, .disconnected:
                throw EndpointFailure(
                    .notAnAgent, "what answers at \(place) is no agent of this version: \(error.message)")
            default: throw error
            }
        }
        throw EndpointFailure(.notAnAgent, "what answers at \(place) takes a ticket that nobody gave out")
    }
}
