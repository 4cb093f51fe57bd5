/// Timers in the order in which they are due.
///
/// A heap in which removed timers stay until they come up or are more than half of it: so adding and removing one costs
/// the logarithm of their number, however many sleep or are cancelled together.
struct TimerQueue {
    private struct Entry {
        let deadline: Duration
        let path: TaskPath
        let ordinal: Int
        let id: Int

        /// Timers of one instant go off in the order of their tasks, not in the order in which the clock's callers
        /// happen to be resumed: the same script then takes the same path every time.
        static func precedes(_ a: Entry, _ b: Entry) -> Bool {
            if a.deadline != b.deadline { return a.deadline < b.deadline }
            if a.path != b.path { return a.path < b.path }
            return (a.ordinal, a.id) < (b.ordinal, b.id)
        }
    }

    private var timers: [Int: LuaTimer] = [:]
    private var heap: [Entry] = []

    var count: Int { timers.count }

    subscript(id: Int) -> LuaTimer? { timers[id] }

    mutating func insert(_ timer: LuaTimer) {
        timers[timer.id] = timer
        heap.append(Entry(deadline: timer.deadline, path: timer.path, ordinal: timer.ordinal, id: timer.id))
        rise(from: heap.count - 1)
    }

    mutating func remove(_ id: Int) -> LuaTimer? {
        guard let timer = timers.removeValue(forKey: id) else { return nil }
        if heap.count > 64, heap.count > 2 * timers.count {
            heap.removeAll { timers[$0.id] == nil }
            for index in stride(from: heap.count / 2, through: 0, by: -1) { sink(from: index) }
        }
        return timer
    }

    /// Takes all that are due by then, the first one first.
    mutating func takeDue(by now: Duration) -> [LuaTimer] {
        var due: [LuaTimer] = []
        while let first = heap.first, first.deadline <= now {
            if let last = heap.popLast(), !heap.isEmpty {
                heap[0] = last
                sink(from: 0)
            }
            timers.removeValue(forKey: first.id).map { due.append($0) }
        }
        return due
    }

    private mutating func rise(from start: Int) {
        var index = start
        while index > 0, Entry.precedes(heap[index], heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func sink(from start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2]
            where child < heap.count && Entry.precedes(heap[child], heap[least]) { least = child }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
