import Foundation
import SiteModel

/// Tries connections from this machine: name, TCP, proxy, then TLS or another agent's greeting.
package enum EndpointProber {
    /// How many are tried at once.
    static let width = 8

    /// Tries them side by side; outcomes are in the order of the probes.
    ///
    /// Other agents are greeted as one with this `security` sends to them.
    package static func run(
        _ probes: [EndpointProbe], _ security: DataSecurity = .local
    ) async -> [EndpointOutcome] {
        await withTaskGroup(of: (Int, EndpointOutcome).self) { group in
            var outcomes = [EndpointOutcome](repeating: EndpointOutcome(), count: probes.count)
            for (index, probe) in probes.enumerated() {
                if index >= width, let (place, outcome) = await group.next() { outcomes[place] = outcome }
                group.addTask { (index, await run(probe, security)) }
            }
            for await (place, outcome) in group { outcomes[place] = outcome }
            return outcomes
        }
    }

    /// Tries one; takes no longer than its time-out and what the machine's resolver takes beyond it.
    package static func run(_ probe: EndpointProbe, _ security: DataSecurity = .local) async -> EndpointOutcome {
        do {
            let interrupt = try Interrupt()
            return try await onThread("endpoint-probe", interrupt: interrupt) {
                EndpointAttempt(probe, security, interrupt: interrupt).run()
            }
        } catch {
            return EndpointOutcome(failure: EndpointFailure(.invalid, "the probe could not begin: \(error)"))
        }
    }
}

/// One probe under way; used by one thread.
private final class EndpointAttempt {
    private let probe: EndpointProbe
    private let security: DataSecurity
    private let interrupt: Interrupt
    private let seconds: Double
    private var outcome = EndpointOutcome()
    /// What is being done, for the message of a time-out.
    private var doing = "looking up the name"

    init(_ probe: EndpointProbe, _ security: DataSecurity, interrupt: Interrupt) {
        self.probe = probe
        self.security = security
        self.interrupt = interrupt
        seconds = min(max(probe.timeoutSeconds, 0.05), EndpointProbe.longest)
    }

    func run() -> EndpointOutcome {
        let began = ContinuousClock.now
        let alarm = DispatchSource.makeTimerSource()
        alarm.schedule(deadline: .now() + seconds)
        alarm.setEventHandler { [interrupt] in interrupt.trigger(EndpointTimeOut()) }
        alarm.resume()
        defer { alarm.cancel() }
        do {
            try check()
            try connect()
        } catch {
            outcome.failure = failure(error)
        }
        outcome.seconds = (ContinuousClock.now - began) / .seconds(1)
        return outcome
    }

    private func failure(_ error: any Error) -> EndpointFailure {
        if let error = error as? EndpointFailure { return error }
        if interrupt.reason is EndpointTimeOut || error is EndpointTimeOut {
            return EndpointFailure(
                .timedOut, "no answer within \(String(format: "%g", seconds)) s while \(doing)")
        }
        let reason = (error as? ReplicationError).map { $0.code == .disconnected ? "the connection ended" : $0.message }
        return EndpointFailure(.closed, "\(reason ?? "\(error)") while \(doing)")
    }

    /// Nothing that ends a line, or is no name, may get into a request or to the resolver.
    private func check() throws {
        for host in [probe.host, probe.proxy?.host ?? probe.host] where !EndpointNames.isHost(host) {
            throw EndpointFailure(.invalid, "'\(host.prefix(80))' is no host name or address")
        }
        guard probe.port > 0, probe.proxy?.port != 0 else { throw EndpointFailure(.invalid, "there is no port 0") }
        guard probe.authorities?.utf8.count ?? 0 <= EndpointProbe.authoritiesLimit else {
            throw EndpointFailure(.invalid, "the certificates of the authorities are too long")
        }
    }

    private func connect() throws {
        let socket: StreamSocket
        if let proxy = probe.proxy {
            doing = "looking up the proxy \(proxy.host)"
            let addresses = try EndpointNames.numbers(of: proxy.host)
            do {
                socket = try open(addresses, port: proxy.port)
            } catch let failure as EndpointFailure {
                throw EndpointFailure(.proxyFailed, "the proxy \(proxy.host):\(proxy.port): \(failure.message)")
            }
            doing = "asking the proxy \(proxy.host):\(proxy.port) for \(probe.host):\(probe.port)"
            try ProxyRequest.connect(socket, to: probe)
        } else {
            outcome.addresses = try EndpointNames.numbers(of: probe.host)
            socket = try open(outcome.addresses, port: probe.port)
        }
        switch probe.service {
        case .tcp: break
        case .tls:
            doing = "shaking hands with \(probe.host):\(probe.port)"
            let result = try TLSHandshake.run(over: socket, probe)
            outcome.certificate = result.certificate
            if let failure = result.failure { throw failure }
        case .agent:
            doing = "greeting the agent at \(probe.host):\(probe.port)"
            do {
                try security.greet(socket, host: probe.host, seconds: seconds)
            } catch let error as ReplicationError where interrupt.reason == nil && error.code != .disconnected {
                throw EndpointFailure(.handshakeFailed, error.message)
            }
            try AgentGreeting.run(over: socket, probe)
        }
        socket.shutDown()
    }

    /// The first of the addresses that takes the connection; else what the first one said.
    private func open(_ addresses: [String], port: UInt16) throws -> StreamSocket {
        var first: EndpointFailure?
        for address in addresses {
            let place = EndpointNames.joined(address, port)
            doing = "connecting to \(place)"
            do {
                let socket = try StreamSocket.connect(
                    to: try SocketAddress(place), interrupt: interrupt,
                    timeoutSeconds: seconds / Double(addresses.count))
                outcome.connectedTo = address
                return socket
            } catch let error as ReplicationError {
                first = first ?? refusal(error, place)
            }
        }
        throw first ?? EndpointFailure(.nameUnknown, "no address to connect to")
    }

    private func refusal(_ error: ReplicationError, _ place: String) -> EndpointFailure {
        let number = error.context["errno"].flatMap { Int32($0) } ?? 0
        switch number {
        case ECONNREFUSED: return EndpointFailure(.refused, "\(place) refuses the connection")
        case ETIMEDOUT: return EndpointFailure(.timedOut, "\(place) gives no answer")
        default:
            let reason = number == 0 ? error.message : String(cString: strerror(number))
            return EndpointFailure(.unreachable, "\(place) cannot be reached: \(reason)")
        }
    }
}

/// The alarm of a probe.
private struct EndpointTimeOut: Error {}
