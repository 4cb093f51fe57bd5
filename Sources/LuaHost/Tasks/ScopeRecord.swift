internal import CLuaShim

/// A scope: the branches of one `task.all`, `map`, `race`, `timeout` or `scope`.
///
///     open ──all branches ended──────────────────────────> ended
///       └──failure, winner, time limit, cancellation──> closing ──all branches ended──> ended
///
/// A closing scope starts no more branches and has cancelled those that run. It ends when they have.
final class ScopeRecord {
    let id: UInt64
    let mode: CLuaScopeMode
    /// How many branches there are in all; `task.spawn` adds to them.
    var count: Int
    var limit: Int
    let number: Int
    /// The host call of its parent that opened it.
    let ordinal: Int
    unowned let parent: TaskRecord
    /// The branch to start next, from 1.
    var next = 1
    var branches: [Int: TaskRecord] = [:]
    var isClosing = false
    /// The timer of its time limit.
    var timer: Int?
    /// Tasks that wait for one branch, in the order in which they came.
    var joiners: [(index: Int, task: TaskRecord)] = []
    /// Set when the time limit came first.
    var timeout: LuaError?

    init(_ call: HostBridge.ScopeCall, number: Int, parent: TaskRecord) {
        id = call.id
        mode = call.mode
        count = call.count
        limit = call.limit == 0 ? call.count : call.limit
        self.number = number
        ordinal = call.ordinal
        self.parent = parent
    }

    /// The public name of what opened it.
    var function: String {
        switch mode {
        case CLUA_SCOPE_ALL: "task.all"
        case CLUA_SCOPE_MAP: "task.map"
        case CLUA_SCOPE_RACE: "task.race"
        case CLUA_SCOPE_TIMEOUT: "task.timeout"
        default: "task.scope"
        }
    }

    var isOpen: Bool { mode == CLUA_SCOPE_OPEN && !isClosing }
    var wantsBranch: Bool { !isClosing && next <= count && branches.count < limit }
    var isEnded: Bool { branches.isEmpty && (isClosing || next > count) }
}
