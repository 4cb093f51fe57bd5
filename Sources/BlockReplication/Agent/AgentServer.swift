import Foundation
import SiteModel

/// Serves an agent: requests on the control socket, and point data on the data address.
package final class AgentServer: Sendable {
    /// The address that senders reach; with the port that the system chose when `listen` named port 0.
    package let address: String
    package let service: AgentService

    private let interrupt: Interrupt
    private let lock: ControlSocketLock
    private let threads: [WorkerThread<Void>]
    private let listeners: [SocketListener]

    /// Binds both sockets and serves at once.
    ///
    /// Errors: `busy` when an agent serves the control socket already, `invalidArgument` when its folder may be written
    /// by everybody or the data address would need a certificate, `io` when that address cannot be had.
    package init(
        site: String, controlSocket: String, listen: String, store: String, runtime: String? = nil,
        security: DataSecurity = .local, limits: AgentLimits = AgentLimits(),
        startHook: (@Sendable () -> StartHookFacts)? = nil
    ) throws {
        let interrupt = try Interrupt()
        let dataPlace = try SocketAddress(listen)
        try security.check(listening: dataPlace)
        lock = try ControlSocketLock(controlSocket)
        let data = try SocketListener(dataPlace, interrupt: interrupt, limit: limits.connections)
        let service = try AgentService(
            site: site, store: store, runtime: runtime, address: data.address, security: security, limits: limits,
            startHook: startHook)
        let control = try SocketListener(
            try SocketAddress(controlSocket), interrupt: interrupt, limit: limits.connections)
        let dispatch = AgentDispatch(service)
        threads = [
            data.start("agent-data", toStrangers: { service.incoming.serve($0, known: $1) }),
            control.start("agent-control") { socket in
                guard ControlSocketLock.mayAsk(socket.descriptor) else { return }
                ControlSession(ControlConnection(socket), dispatch, interrupt: socket.interrupt).run()
            },
        ]
        listeners = [data, control]
        self.interrupt = interrupt
        self.service = service
        address = data.address
    }

    deinit { interrupt.trigger(ReplicationError.agentStopping) }

    /// Ends all requests and transfers and frees both addresses.
    ///
    /// Repeating it does nothing.
    package func stop() async {
        guard interrupt.reason == nil else { return }
        interrupt.trigger(ReplicationError.agentStopping)
        await service.stop()
        try? await onThread("agent-stop") { [threads, listeners] in
            for thread in threads { try thread.join() }
            for listener in listeners { listener.waitUntilIdle(seconds: 10) }
        }
        lock.release()
    }
}

/// Runs the agent of a site until SIGTERM or SIGINT, or until the task is cancelled.
package func runAgent(
    site: String, controlSocket: String, listen: String, store: String, runtime: String? = nil,
    security: DataSecurity = .local, limits: AgentLimits = AgentLimits(),
    startHook: (@Sendable () -> StartHookFacts)? = nil
) async throws {
    let server = try AgentServer(
        site: site, controlSocket: controlSocket, listen: listen, store: store, runtime: runtime,
        security: security, limits: limits, startHook: startHook)
    for await _ in endingSignals() { break }
    await server.stop()
}

/// An element for each signal that asks the process to end.
private func endingSignals() -> AsyncStream<Void> {
    AsyncStream { continuation in
        let sources = [SIGTERM, SIGINT].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { continuation.yield() }
            source.resume()
            return SignalSource(source: source)
        }
        continuation.onTermination = { _ in
            for entry in sources { entry.source.cancel() }
        }
    }
}

/// A dispatch source on its way into a closure that may be called from anywhere.
private struct SignalSource: @unchecked Sendable {  // dispatch sources may be cancelled from any thread
    let source: any DispatchSourceSignal
}
