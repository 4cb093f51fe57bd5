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
    /// Tasks that wait for one branch: by the branch, then by when they came.
    private var joiners: [Int: [Int: TaskRecord]] = [:]
    private var lastJoiner = 0
    /// What it ends with, whatever its branches do: its time limit came first, or a branch could not be had.
    var failure: LuaError?
    /// Whether it waits to have branches started that `task.spawn` added.
    var hasSpawned = false
    /// Where the script opened it.
    let position: SourcePosition?

    init(_ call: HostBridge.ScopeCall, number: Int, parent: TaskRecord) {
        id = call.id
        mode = call.mode
        count = call.count
        limit = call.limit == 0 ? call.count : call.limit
        self.number = number
        ordinal = call.ordinal
        position = call.position
        self.parent = parent
    }

    /// The public name of what opened it.
    var function: String { mode.function }

    /// Notes a task that waits for a branch, and returns its number among those that do.
    func addJoiner(_ task: TaskRecord, of index: Int) -> Int {
        lastJoiner += 1
        joiners[index, default: [:]][lastJoiner] = task
        return lastJoiner
    }

    func removeJoiner(_ number: Int, of index: Int) { joiners[index]?[number] = nil }

    /// Takes those that wait for a branch, in the order in which they came.
    func takeJoiners(of index: Int) -> [TaskRecord] {
        guard let waiting = joiners.removeValue(forKey: index) else { return [] }
        return waiting.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Takes all that wait, in the order in which they came.
    func takeJoiners() -> [TaskRecord] {
        defer { joiners = [:] }
        return joiners.values.flatMap(\.self).sorted { $0.key < $1.key }.map(\.value)
    }

    var isOpen: Bool { mode == CLUA_SCOPE_OPEN && !isClosing }
    var wantsBranch: Bool { !isClosing && next <= count && branches.count < limit }
    var isEnded: Bool { branches.isEmpty && (isClosing || next > count) }
}

extension HostBridge.ScopeCall {
    var function: String { mode.function }

    /// How many branches start at once.
    var atOnce: Int { limit == 0 ? count : min(limit, count) }

    /// What to do when it asks for more tasks than there may be.
    var hintAgainstMany: String {
        switch mode {
        case CLUA_SCOPE_MAP: "give task.map a limit, such as { limit = 100 }"
        case CLUA_SCOPE_TIMEOUT, CLUA_SCOPE_OPEN: "wait for some tasks before starting others"
        default: "use task.map with limit"
        }
    }
}

extension CLuaScopeMode {
    /// The public name of what opens such a scope.
    fileprivate var function: String {
        switch self {
        case CLUA_SCOPE_ALL: "task.all"
        case CLUA_SCOPE_MAP: "task.map"
        case CLUA_SCOPE_RACE: "task.race"
        case CLUA_SCOPE_TIMEOUT: "task.timeout"
        default: "task.scope"
        }
    }
}
