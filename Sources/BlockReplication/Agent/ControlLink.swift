import Foundation
import SiteModel
import Synchronization

/// The client's end of a control connection: numbers requests, and brings each answer to who asked.
final class ControlLink: Sendable {
    /// How long a cancelled request waits for the agent to have tidied up.
    private static let cancelPatienceSeconds = 10.0

    /// An agent that takes in nothing for so long hangs: requests are small.
    private static let writePatienceSeconds = 30.0

    private struct Waiting: Sendable {
        var heardAt = ContinuousClock.now
        /// Whether all of the request has gone out; until then who writes it sees what becomes of the connection.
        var isWritten = false
        let finish: @Sendable (Result<Data, any Error>) -> Void
        let progress: @Sendable (TransferProgress) -> Void
    }

    private struct Open: Sendable {
        let connection: ControlConnection
        let interrupt: Interrupt
    }

    private struct State {
        var open: Open?
        var nextNumber: UInt64 = 1
        var waiting: [UInt64: Waiting] = [:]
    }

    private let path: String
    private let state = Mutex(State())

    init(path: String) {
        self.path = path
    }

    deinit { close() }

    /// Ends the connection; requests under way fail.
    func close() {
        let (open, waiting) = state.withLock { state in
            defer {
                state.open = nil
                state.waiting = [:]
            }
            return (state.open, Array(state.waiting.values))
        }
        let reason = unreachable("the connection was closed here")
        open?.connection.end()
        open?.interrupt.trigger(reason)
        for entry in waiting { entry.finish(.failure(reason)) }
    }

    /// Asks, and waits for the answer, the call's deadline or the task's cancellation.
    ///
    /// With `silenceSeconds`, the call is given up and cancelled at the agent when neither progress nor an answer has
    /// come for so long.
    func ask<Body: Codable & Sendable, Answer: Codable & Sendable>(
        _ call: AgentCall<Body, Answer>, _ body: Body, silenceSeconds: Double? = nil,
        progress: @escaping @Sendable (TransferProgress) -> Void = { _ in }
    ) async throws -> Answer {
        try Task.checkCancellation()
        let (connection, isNew) = try connected()
        let number = state.withLock { state in
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
        let message = try JSONEncoder().encode(ControlRequest(id: number, call: call.name, body: body))
        let deadline = call.deadlineSeconds.map { seconds in
            after(seconds) { [self] in
                end(number, .failure(tooLate(call.name, seconds)))
                try? cancel(number)
            }
        }
        let watch = silenceSeconds.map { seconds in
            Task { [self] in
                guard await isSilent(number, for: seconds) else { return }
                end(number, .failure(tooSilent(call.name, seconds)))
                try? cancel(number)
            }
        }
        defer {
            deadline?.cancel()
            watch?.cancel()
        }
        let answer = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Data, any Error>) in
                let waiting = Waiting(finish: { continuation.resume(with: $0) }, progress: progress)
                state.withLock { $0.waiting[number] = waiting }
                do {
                    try post(message, number, over: connection, isNew: isNew)
                    if Task.isCancelled { try cancel(number) }
                } catch {
                    end(number, .failure(error))
                }
            }
        } onCancel: {
            try? cancel(number)
            after(Self.cancelPatienceSeconds) { [weak self] in
                self?.end(number, .failure(ReplicationError.givenUp))
            }
        }
        do {
            return try JSONDecoder().decode(ControlResponse<Answered<Answer>>.self, from: answer).requireResult().value
        } catch let error as ReplicationError { throw error } catch {
            throw ReplicationError(
                .protocolViolation, "the agent's answer to '\(call.name)' cannot be read",
                hint: "run the same version of perilune in the engine and at the host", cause: error)
        }
    }

    /// Writes a request.
    ///
    /// A connection that was there before may be of an agent that has ended since. What could not be written over it no agent
    /// has read whole, so the request goes to the one that answers there now.
    private func post(_ message: Data, _ number: UInt64, over connection: ControlConnection, isNew: Bool) throws {
        do { try connection.write(message) } catch let error as ReplicationError where error.code == .disconnected {
            lost(connection, error)
            guard !isNew, state.withLock({ $0.waiting[number] != nil }) else { throw error }
            return try post(message, number, over: try connected().connection, isNew: true)
        }
        let isOpen = state.withLock { state in
            state.waiting[number]?.isWritten = true
            return state.open?.connection === connection
        }
        // The reader may have seen the end before it could know that this request was on its way.
        if !isOpen { end(number, .failure(unreachable("it closed the connection"))) }
    }

    private func cancel(_ number: UInt64) throws {
        let (own, connection) = state.withLock { state in
            defer { state.nextNumber += 1 }
            return (state.nextNumber, state.open?.connection)
        }
        try connection?.write(
            try JSONEncoder().encode(ControlRequest(id: own, call: AgentCalls.cancel.name, body: number)))
    }

    private func connected() throws -> (connection: ControlConnection, isNew: Bool) {
        try state.withLock { state in
            if let open = state.open { return (open.connection, false) }
            let interrupt = try Interrupt()
            let socket: StreamSocket
            do {
                guard path.hasPrefix("/") else { throw unreachable("its path is not absolute") }
                socket = try StreamSocket.connect(
                    to: try SocketAddress(path), interrupt: interrupt, timeoutSeconds: 5)
            } catch let error as ReplicationError where error.code == .disconnected {
                throw unreachable("nothing answers there", cause: error)
            }
            let connection = ControlConnection(socket, writeLimitSeconds: Self.writePatienceSeconds)
            state.open = Open(connection: connection, interrupt: interrupt)
            let thread = Thread { [weak self] in
                do {
                    while true {
                        let message = try connection.read()
                        guard let self else { return }
                        self.deliver(message)
                    }
                } catch {
                    self?.lost(connection, error)
                }
            }
            thread.name = "agent-client"
            thread.start()
            return (connection, true)
        }
    }

    private func deliver(_ message: Data) {
        guard let head = try? JSONDecoder().decode(ControlResponseHead.self, from: message) else { return }
        if let progress = head.progress {
            let waiting = state.withLock { state in
                state.waiting[head.id]?.heardAt = .now
                return state.waiting[head.id]
            }
            waiting?.progress(progress)
        } else if let failure = head.error {
            end(head.id, .failure(failure.error))
        } else {
            end(head.id, .success(message))
        }
    }

    private func lost(_ connection: ControlConnection, _ error: any Error) {
        connection.end()
        let waiting = state.withLock { state -> [Waiting] in
            guard state.open?.connection === connection else { return [] }
            state.open = nil
            let written = state.waiting.filter { $0.value.isWritten }
            for number in written.keys { state.waiting[number] = nil }
            return Array(written.values)
        }
        for entry in waiting { entry.finish(.failure(unreachable("it closed the connection", cause: error))) }
    }

    /// Returns true when nothing has been heard of a request for so long; false when it has ended or the task was
    /// cancelled.
    private func isSilent(_ number: UInt64, for seconds: Double) async -> Bool {
        var limit = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < limit {
            do { try await Task.sleep(until: limit, clock: .continuous) } catch { return false }
            guard let heardAt = state.withLock({ $0.waiting[number]?.heardAt }) else { return false }
            limit = heardAt + .seconds(seconds)
        }
        return true
    }

    private func end(_ number: UInt64, _ result: Result<Data, any Error>) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.finish(result)
    }

    private func unreachable(_ reason: String, cause: (any Error)? = nil) -> ReplicationError {
        ReplicationError(
            .disconnected, "the agent at \(path) cannot be reached: \(reason)",
            hint: "start it at that host: perilune agent --socket \(path) (perilune doctor shows the whole command)",
            context: ["socket": path], cause: cause)
    }

    private func tooSilent(_ call: String, _ seconds: Double) -> ReplicationError {
        ReplicationError(
            .timedOut, "nothing was heard of '\(call)' from the agent at \(path) for \(Int(seconds)) seconds",
            hint: "the agent hangs, or its host's storage does: check that host, start the agent again, and begin the"
                + " cycle again; earlier points are intact",
            context: ["socket": path])
    }

    private func tooLate(_ call: String, _ seconds: Double) -> ReplicationError {
        ReplicationError(
            .timedOut, "the agent at \(path) did not answer '\(call)' within \(Int(seconds)) seconds",
            hint: "check the load and the storage of that host, then try again", context: ["socket": path])
    }
}

/// Does something later, unless cancelled before.
@discardableResult
private func after(_ seconds: Double, _ body: @escaping @Sendable () -> Void) -> Task<Void, Never> {
    Task {
        do { try await Task.sleep(for: .seconds(seconds)) } catch { return }
        body()
    }
}

extension ControlResponse {
    /// The result, which a response without an error has.
    func requireResult() throws -> Answer {
        guard let result else { throw ReplicationError.malformed("the agent's answer holds no result") }
        return result
    }
}
