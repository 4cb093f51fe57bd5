import SiteModel

/// What is to be done with each VM and when, and which may begin now: most overdue first, within the limits.
///
/// A value without a clock: it is told the time.
struct CycleQueue {
    /// One VM's next work.
    struct Entry: Sendable {
        var relationship: String
        var name: String
        var route: CycleRoute
        var operation: Operation
        /// Seconds between cycles.
        var frequency: Double
        /// When it should begin.
        var due: Timestamp
        /// Not before this, whatever is due: after failures, or when an engine finds much overdue.
        var notBefore: Timestamp?

        var begins: Timestamp { max(due, notBefore ?? due) }
    }

    private(set) var entries: [String: Entry] = [:]
    /// Which VMs have work under way, and what it occupies: the entry may change meanwhile.
    private var running: [String: CycleRoute] = [:]
    private var failures: [String: Int] = [:]
    private var heap: [Item] = []
    /// Due, and waiting for room; in order.
    private var waiting: [Item] = []
    private var room: CycleRoom

    /// An entry's place in the order; it counts as long as the entry says the same.
    private struct Item: Comparable {
        var begins: Timestamp
        var due: Timestamp
        var relationship: String

        static func < (a: Item, b: Item) -> Bool {
            (a.begins, a.due, a.relationship) < (b.begins, b.due, b.relationship)
        }
    }

    init(limits: CycleLimits) {
        room = CycleRoom(limits: limits)
    }

    var runningCount: Int { running.count }
    var waitingCount: Int { waiting.count }

    func isRunning(_ relationship: String) -> Bool { running[relationship] != nil }

    // MARK: Changes

    /// Puts a VM's next work in the place of what was there.
    mutating func set(_ entry: Entry) {
        var entry = entry
        if let old = entries[entry.relationship], Self.isSameWork(old, entry) {
            // A failure's pause outlives what is written meanwhile.
            entry.notBefore = entry.notBefore ?? old.notBefore
        } else {
            failures[entry.relationship] = nil
        }
        entries[entry.relationship] = entry
        guard running[entry.relationship] == nil else { return }
        push(Item(begins: entry.begins, due: entry.due, relationship: entry.relationship))
    }

    /// A new point moves what is due; anything else that is written does not.
    private static func isSameWork(_ a: Entry, _ b: Entry) -> Bool {
        a.operation == b.operation && (a.operation != .sync || a.due == b.due)
    }

    mutating func remove(_ relationship: String) {
        entries[relationship] = nil
        failures[relationship] = nil
    }

    /// Work has ended.
    ///
    /// Whoever calls it says with `set` or `remove` what comes next.
    mutating func finish(_ relationship: String, failed: Bool, now: Timestamp) {
        if let route = running.removeValue(forKey: relationship) { room.give(route) }
        guard var entry = entries[relationship] else { return }
        if failed {
            let count = failures[relationship, default: 0] + 1
            failures[relationship] = count
            entry.notBefore = now.advanced(
                bySeconds: CycleTiming.pause(afterFailures: count, frequency: entry.frequency, id: relationship))
        } else {
            failures[relationship] = nil
            entry.notBefore = nil
        }
        entries[relationship] = entry
        push(Item(begins: entry.begins, due: entry.due, relationship: relationship))
    }

    // MARK: Beginning

    /// Takes all that may begin now, the most overdue first, and marks it as running.
    mutating func takeReady(now: Timestamp) -> [Entry] {
        var fresh: [Item] = []
        while let first = heap.first, first.begins <= now {
            pop()
            if isCurrent(first) { fresh.append(first) }
        }
        if !fresh.isEmpty {
            waiting = (waiting + fresh).sorted { ($0.due, $0.relationship) < ($1.due, $1.relationship) }
        }
        guard !waiting.isEmpty else { return [] }
        var ready: [Entry] = []
        var left: [Item] = []
        var seen: Set<String> = []
        // What is kept free for those who have waited too long: they need several things at once, and others that need one of
        // these would take it again and again.
        var kept = room
        for item in waiting {
            guard isCurrent(item), let entry = entries[item.relationship], seen.insert(item.relationship).inserted
            else { continue }
            if kept.has(entry.route) {
                kept.take(entry.route)
                room.take(entry.route)
                running[entry.relationship] = entry.route
                ready.append(entry)
            } else {
                left.append(item)
                if now.seconds(since: entry.due) > entry.frequency { kept.take(entry.route) }
            }
        }
        waiting = left
        return ready
    }

    private func isCurrent(_ item: Item) -> Bool {
        guard let entry = entries[item.relationship], running[item.relationship] == nil else { return false }
        return entry.begins == item.begins && entry.due == item.due
    }

    // MARK: The heap

    private mutating func push(_ item: Item) {
        heap.append(item)
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func pop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            guard least != parent else { return }
            heap.swapAt(least, parent)
            parent = least
        }
    }
}
