internal import Foundation

/// The rows of a vault in memory.
///
/// A transaction writes in place and notes what was there, so that it can be undone.
final class MemoryRows: RowWriter {
    let keepsValues: Bool
    private var objects: [String: [String: ObjectRow]] = [:]
    /// Ids by kind and parent.
    private var children: [String: [String: Set<String>]] = [:]
    /// Ids of what has not ended, by kind.
    private var open: [String: Set<String>] = [:]
    private var names: [NameKey: String] = [:]
    /// By number, without those that were removed.
    private var events: [EventRow] = []
    private var lastEvent = 0
    private var leases: [String: LeaseRow] = [:]
    private var journals: [String: [JournalRow]] = [:]
    private var undo: [Change] = []
    /// Counts changes; one that is undone leaves a gap.
    private var changes = 0
    /// Ids by the change that wrote them last, in that order; each counts only where it is the row's newest.
    private var changeLog: [String: [(number: Int, id: String)]] = [:]
    private var changed: [String: [String: Int]] = [:]

    private struct NameKey: Hashable {
        var kind: String
        var parent: String
        var name: String
    }

    private struct EventRow {
        var number: Int
        var object: String?
        var body: Body
    }

    /// What a write replaced.
    private enum Change {
        case object(kind: String, id: String, ObjectRow?)
        case event
        case eventsRemoved([EventRow])
        case lease(String, LeaseRow?)
        case journal(String, [JournalRow]?)
        case journalRow(String)
    }

    init(keepsValues: Bool) {
        self.keepsValues = keepsValues
    }

    func begin() { undo = [] }

    func rollBack() {
        for change in undo.reversed() {
            switch change {
            case .object(let kind, let id, let row): set(row, kind: kind, id: id)
            case .event:
                events.removeLast()
                lastEvent -= 1
            case .eventsRemoved(let removed): events = (events + removed).sorted { $0.number < $1.number }
            case .lease(let name, let row): leases[name] = row
            case .journal(let run, let rows): journals[run] = rows
            case .journalRow(let run): journals[run]?.removeLast()
            }
        }
        undo = []
    }

    /// Puts a row in the place of what is there, and keeps the names in step.
    private func set(_ row: ObjectRow?, kind: String, id: String) {
        if let old = objects[kind]?[id] {
            let staysInPlace = row?.parent == old.parent && row?.name == old.name
            objects[kind]?[id] = row
            open[kind]?.remove(id)
            if row?.openSince != nil { open[kind, default: []].insert(id) }
            if staysInPlace { return }
            names[NameKey(kind: kind, parent: old.parent, name: old.name)] = nil
            children[kind]?[old.parent]?.remove(id)
            if children[kind]?[old.parent]?.isEmpty == true { children[kind]?[old.parent] = nil }
        } else {
            objects[kind, default: [:]][id] = row
            if row?.openSince != nil { open[kind, default: []].insert(id) }
        }
        guard let row else { return }
        names[NameKey(kind: kind, parent: row.parent, name: row.name)] = id
        children[kind, default: [:]][row.parent, default: []].insert(id)
    }

    private func change(_ row: ObjectRow?, kind: String, id: String) {
        undo.append(.object(kind: kind, id: id, objects[kind]?[id]))
        set(row, kind: kind, id: id)
        changes += 1
        changed[kind, default: [:]][id] = changes
        changeLog[kind, default: []].append((changes, id))
        // Half of it at least is out of date then.
        if let log = changeLog[kind], log.count > 2 * (changed[kind]?.count ?? 0) + 1000 {
            changeLog[kind] = log.filter { changed[kind]?[$0.id] == $0.number }
        }
    }
}

extension MemoryRows {
    func insert(_ row: ObjectRow) { change(row, kind: row.kind, id: row.id) }

    func replace(_ row: ObjectRow) { change(row, kind: row.kind, id: row.id) }

    func remove(kind: String, id: String) { change(nil, kind: kind, id: id) }

    func appendEvent(about object: String?, body: Body) {
        undo.append(.event)
        lastEvent += 1
        events.append(EventRow(number: lastEvent, object: object, body: body))
    }

    func removeEvents(_ numbers: [Int]) {
        let wanted = Set(numbers)
        undo.append(.eventsRemoved(events.filter { wanted.contains($0.number) }))
        events.removeAll { wanted.contains($0.number) }
    }

    func removeLease(_ name: String) {
        undo.append(.lease(name, leases[name]))
        leases[name] = nil
    }

    func append(_ row: JournalRow, toJournalOf run: String) {
        undo.append(.journalRow(run))
        journals[run, default: []].append(row)
    }

    func removeJournalRows(of run: String, after number: Int) {
        undo.append(.journal(run, journals[run]))
        journals[run]?.removeAll { $0.number > number }
        if journals[run]?.isEmpty == true { journals[run] = nil }
    }

    func put(_ lease: LeaseRow) {
        undo.append(.lease(lease.name, leases[lease.name]))
        leases[lease.name] = lease
    }
}

extension MemoryRows {
    func document(kind: String, id: String) -> Document? { objects[kind]?[id].map(Self.document) }

    func document(kind: String, parent: String, name: String) -> Document? {
        names[NameKey(kind: kind, parent: parent, name: name)].flatMap { document(kind: kind, id: $0) }
    }

    func documents(kind: String, parent: String?) -> [Document] {
        let all = objects[kind] ?? [:]
        guard let parent else { return all.values.sorted(by: Self.isBefore).map(Self.document) }
        return (children[kind]?[parent] ?? []).compactMap { all[$0] }.sorted(by: Self.isBefore).map(Self.document)
    }

    func parents(kind: String) -> [String] {
        (children[kind] ?? [:]).keys.sorted(by: SortKey.precedes)
    }

    func openDocuments(kind: String) -> [Document] {
        (open[kind] ?? []).compactMap { objects[kind]?[$0] }
            .compactMap { row in row.openSince.map { (since: $0, row: row) } }
            .sorted { ($0.since, $0.row.id) < ($1.since, $1.row.id) }
            .map { Self.document($0.row) }
    }

    func eventBodies(about object: String?, limit: Int) -> [Body] {
        events.reversed().lazy.filter { object == nil || $0.object == object }.prefix(limit).map(\.body)
    }

    func eventBodies(after number: Int, limit: Int) -> [(number: Int, body: Body)] {
        // The first whose number is greater, by halves.
        var (low, high) = (0, events.count)
        while low < high {
            let middle = (low + high) / 2
            if events[middle].number > number { high = middle } else { low = middle + 1 }
        }
        return events[low...].prefix(limit).map { (number: $0.number, body: $0.body) }
    }

    func lastEventNumber() -> Int { lastEvent }

    func changeNumber() -> Int { changes }

    func documents(kind: String, changedAfter number: Int) -> [Document] {
        var found: [Document] = []
        for entry in (changeLog[kind] ?? []).reversed() {
            guard entry.number > number else { break }
            guard changed[kind]?[entry.id] == entry.number, let row = objects[kind]?[entry.id] else { continue }
            found.append(Self.document(row))
        }
        return found
    }

    func leaseRow(_ name: String) -> LeaseRow? { leases[name] }

    /// Numbers have no gaps, so a row's place is its number.
    func journalRows(of run: String, after number: Int, limit: Int) -> [JournalRow] {
        Array((journals[run] ?? []).dropFirst(max(0, number)).prefix(limit))
    }

    func lastJournalRow(of run: String) -> JournalRow? { journals[run]?.last }

    private static func document(_ row: ObjectRow) -> Document {
        Document(id: row.id, revision: row.revision, body: row.body)
    }

    private static func isBefore(_ a: ObjectRow, _ b: ObjectRow) -> Bool {
        if a.sortKey != b.sortKey { return SortKey.precedes(a.sortKey, b.sortKey) }
        if a.name != b.name { return SortKey.precedes(a.name, b.name) }
        return SortKey.precedes(a.id, b.id)
    }
}
