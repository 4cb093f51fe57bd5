import Synchronization

/// The end of one engine of a world, set at a step: a process that is killed, as the world sees it.
///
/// Its calls from then on change nothing and come back with `EngineDied`. A call that was on its way when it died has done its
/// work or not, and nobody hears of it. A step is a call to a host, or a transaction of the vault.
package final class EngineLife: Sendable {
    private struct State {
        var isOver = false
        var left: Int?
        var steps = 0
    }

    private let state = Mutex(State())

    package init() {}

    package var isOver: Bool { state.withLock { $0.isOver } }

    /// Steps that the engine has taken.
    package var steps: Int { state.withLock { $0.steps } }

    /// The engine dies now.
    package func end() { state.withLock { $0.isOver = true } }

    /// The engine dies after so many further steps: of the last one it does not hear what came of it.
    package func end(afterSteps count: Int) { state.withLock { $0.left = count } }

    /// Before a step: refused when the engine is dead.
    package func begin() throws {
        try state.withLock { state in
            if state.isOver { throw EngineDied() }
            state.steps += 1
        }
    }

    /// After a step that has been done: nobody hears of it when the engine has died meanwhile, or dies now.
    package func hear() throws {
        try state.withLock { state in
            if let left = state.left {
                state.left = left - 1
                if left <= 1 { state.isOver = true }
            }
            if state.isOver { throw EngineDied() }
        }
    }
}

/// What the work of a dead engine ends with: no answer is for anybody.
package struct EngineDied: Error {
    package init() {}
}
