internal import CLuaShim

/// A scope: the branches of one `task.all`, `map`, `race` or `timeout`.
///
///     open ──all branches ended──────────────────────────> ended
///       └──failure, winner, time limit, cancellation──> closing ──all branches ended──> ended
///
/// A closing scope starts no more branches and has cancelled those that run. It ends when they have.
final class ScopeRecord {
    let id: UInt64
    let mode: CLuaScopeMode
    let count: Int
    let limit: Int
    let number: Int
    unowned let parent: TaskRecord
    /// The branch to start next, from 1.
    var next = 1
    var branches: [Int: TaskRecord] = [:]
    var isClosing = false
    var timer: Task<Void, Never>?
    /// Set when the time limit came first.
    var timeout: LuaError?

    init(_ call: HostBridge.ScopeCall, number: Int, parent: TaskRecord) {
        id = call.id
        mode = call.mode
        count = call.count
        limit = call.limit == 0 ? call.count : call.limit
        self.number = number
        self.parent = parent
    }

    var wantsBranch: Bool { !isClosing && next <= count && branches.count < limit }
    var isEnded: Bool { branches.isEmpty && (isClosing || next > count) }
}
