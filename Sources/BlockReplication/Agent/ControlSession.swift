import Foundation
import SiteModel
import Synchronization

/// Serves one client of the control socket: its requests run side by side, and end with its connection.
final class ControlSession: Sendable {
    private static let requestLimit = 512

    private struct State {
        var tasks: [UInt64: Task<Void, Never>] = [:]
        var ended = false
    }

    private let connection: ControlConnection
    private let dispatch: AgentDispatch
    private let state = Mutex(State())
    private let answers: HandOff<Data>
    private let interrupt: Interrupt

    init(_ connection: ControlConnection, _ dispatch: AgentDispatch, interrupt: Interrupt) {
        self.connection = connection
        self.dispatch = dispatch
        self.interrupt = interrupt
        answers = HandOff(interrupt)
    }

    /// Reads requests until the client goes or breaks the protocol; then cancels what still runs.
    ///
    /// Blocks: has its own thread.
    func run() {
        let writer = WorkerThread("agent-answers") { [self] in
            while let message = try answers.next(interrupt) { try connection.write(message) }
        }
        do {
            while true { try accept(try connection.read()) }
        } catch {
            // A client that goes is nothing to tell anybody; one that talks nonsense hears so before it is put out.
            if let error = error as? ReplicationError, error.code == .protocolViolation { put(failure: error, id: 0) }
        }
        let tasks = state.withLock { state in
            state.ended = true
            return Array(state.tasks.values)
        }
        for task in tasks { task.cancel() }
        // A cancelled transfer ends its helper processes before this connection counts as ended.
        let ended = DispatchSemaphore(value: 0)
        Task {
            for task in tasks { await task.value }
            ended.signal()
        }
        ended.wait()
        answers.finish()
        try? writer.join()
        connection.end()
    }

    private func accept(_ message: Data) throws {
        let head = try AgentDispatch.decode(ControlRequestHead.self, message)
        if head.call == AgentCalls.cancel.name {
            let number = try AgentDispatch.decode(ControlRequest<UInt64>.self, message).body
            state.withLock { $0.tasks[number] }?.cancel()
            put(id: head.id)
            return
        }
        state.withLock { state in
            guard state.tasks[head.id] == nil, state.tasks.count < Self.requestLimit else {
                put(
                    failure: ReplicationError(
                        .busy, "too many requests at once, or one number used twice",
                        hint: "wait for earlier requests to end"), id: head.id)
                return
            }
            state.tasks[head.id] = Task { await self.perform(head, message) }
        }
    }

    private func perform(_ head: ControlRequestHead, _ message: Data) async {
        do {
            let answer = try await dispatch.answer(call: head.call, message: message) { [self] progress in
                guard let data = try? JSONEncoder().encode(ControlResponse<Nothing>(id: head.id, progress: progress))
                else { return }
                answers.put(data)
            }
            let data = try answer(head.id)
            guard data.count <= ControlConnection.messageLimit else {
                throw ReplicationError(
                    .unsupported, "the answer to '\(head.call)' has \(data.count) bytes, more than a message may",
                    hint: "report this: the agent should have answered in fewer words")
            }
            answers.put(data)
        } catch {
            put(failure: ReplicationError.wrapping(error), id: head.id)
        }
        state.withLock { $0.tasks[head.id] = nil }
    }

    private func put(id: UInt64) {
        if let data = try? JSONEncoder().encode(ControlResponse(id: id, result: Answered(value: Nothing()))) {
            answers.put(data)
        }
    }

    private func put(failure: ReplicationError, id: UInt64) {
        let response = ControlResponse<Nothing>(id: id, error: WireFailure(failure))
        if let data = try? JSONEncoder().encode(response) { answers.put(data) }
    }
}
