internal import Foundation
internal import GRDB
internal import SiteModel

/// The rows of a vault on disk, within one transaction of GRDB.
struct SQLiteRows: RowWriter {
    let database: Database
    var keepsValues: Bool { false }

    private static func document(_ row: Row) -> Document {
        Document(id: row[0], revision: row[1], body: .document(row[2]))
    }

    private func documents(_ sql: String, _ arguments: StatementArguments) throws -> [Document] {
        let cursor = try Row.fetchCursor(database.cachedStatement(sql: sql), arguments: arguments)
        var result: [Document] = []
        while let row = try cursor.next() { result.append(Self.document(row)) }
        return result
    }

    private func execute(_ sql: String, _ arguments: StatementArguments) throws {
        try database.cachedStatement(sql: sql).execute(arguments: arguments)
    }

    // MARK: Reading

    func document(kind: String, id: String) throws -> Document? {
        try documents("SELECT id, revision, body FROM object WHERE kind = ? AND id = ?", [kind, id]).first
    }

    func document(kind: String, parent: String, name: String) throws -> Document? {
        try documents(
            "SELECT id, revision, body FROM object WHERE kind = ? AND parent = ? AND name = ?", [kind, parent, name]
        ).first
    }

    func documents(kind: String, parent: String?) throws -> [Document] {
        guard let parent else {
            return try documents(
                "SELECT id, revision, body FROM object WHERE kind = ? ORDER BY sort_key, name, id", [kind])
        }
        return try documents(
            "SELECT id, revision, body FROM object WHERE kind = ? AND parent = ? ORDER BY sort_key, name, id",
            [kind, parent])
    }

    func parents(kind: String) throws -> [String] {
        try String.fetchAll(
            database.cachedStatement(sql: "SELECT DISTINCT parent FROM object WHERE kind = ? ORDER BY parent"),
            arguments: [kind])
    }

    func openDocuments(kind: String) throws -> [Document] {
        try documents(
            """
            SELECT id, revision, body FROM object
            WHERE kind = ? AND open_since IS NOT NULL ORDER BY open_since, id
            """, [kind])
    }

    func eventBodies(about object: String?, limit: Int) throws -> [Body] {
        guard let object else {
            return try Data.fetchAll(
                database.cachedStatement(sql: "SELECT body FROM event ORDER BY number DESC LIMIT ?"), arguments: [limit]
            ).map(Body.document)
        }
        return try Data.fetchAll(
            database.cachedStatement(sql: "SELECT body FROM event WHERE object = ? ORDER BY number DESC LIMIT ?"),
            arguments: [object, limit]
        ).map(Body.document)
    }

    func eventBodies(after number: Int, limit: Int) throws -> [(number: Int, body: Body)] {
        let statement = try database.cachedStatement(
            sql: "SELECT number, body FROM event WHERE number > ? ORDER BY number LIMIT ?")
        return try Row.fetchAll(statement, arguments: [number, limit]).map { (number: $0[0], body: .document($0[1])) }
    }

    func lastEventNumber() throws -> Int {
        try Int.fetchOne(database.cachedStatement(sql: "SELECT max(number) FROM event")) ?? 0
    }

    func changeNumber() throws -> Int {
        try Int.fetchOne(database.cachedStatement(sql: "SELECT number FROM change")) ?? 0
    }

    func documents(kind: String, changedAfter number: Int) throws -> [Document] {
        try documents("SELECT id, revision, body FROM object WHERE kind = ? AND changed > ?", [kind, number])
    }

    func leaseRow(_ name: String) throws -> LeaseRow? {
        let statement = try database.cachedStatement(sql: "SELECT holder, epoch, expires_at FROM lease WHERE name = ?")
        return try Row.fetchOne(statement, arguments: [name]).map { row in
            LeaseRow(name: name, holder: row[0], epoch: row[1], expiresAt: Timestamp(milliseconds: row[2]))
        }
    }

    func journalRows(of run: String, after number: Int, limit: Int) throws -> [JournalRow] {
        try journalRows("run = ? AND number > ? ORDER BY number LIMIT ?", [run, number, limit])
    }

    func lastJournalRow(of run: String) throws -> JournalRow? {
        try journalRows("run = ? ORDER BY number DESC LIMIT 1", [run]).first
    }

    private func journalRows(_ which: String, _ arguments: StatementArguments) throws -> [JournalRow] {
        let statement = try database.cachedStatement(sql: "SELECT number, body, chain FROM journal WHERE \(which)")
        return try Row.fetchAll(statement, arguments: arguments).map {
            JournalRow(number: $0[0], body: $0[1], chain: $0[2])
        }
    }

    // MARK: Writing

    func insert(_ row: ObjectRow) throws {
        try countChange()
        try execute(
            """
            INSERT INTO object (kind, id, parent, name, sort_key, open_since, revision, body, changed)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, (SELECT number FROM change))
            """,
            [row.kind, row.id, row.parent, row.name, row.sortKey, row.openSince, row.revision, text(row.body.data)])
    }

    func replace(_ row: ObjectRow) throws {
        try countChange()
        try execute(
            """
            UPDATE object SET parent = ?, name = ?, sort_key = ?, open_since = ?, revision = ?, body = ?,
            changed = (SELECT number FROM change)
            WHERE kind = ? AND id = ?
            """,
            [row.parent, row.name, row.sortKey, row.openSince, row.revision, text(row.body.data), row.kind, row.id])
    }

    func remove(kind: String, id: String) throws {
        try countChange()
        try execute("DELETE FROM object WHERE kind = ? AND id = ?", [kind, id])
    }

    private func countChange() throws { try execute("UPDATE change SET number = number + 1", []) }

    func appendEvent(about object: String?, body: Body) throws {
        try execute("INSERT INTO event (object, body) VALUES (?, ?)", [object, text(body.data)])
    }

    func removeEvents(_ numbers: [Int]) throws {
        for number in numbers { try execute("DELETE FROM event WHERE number = ?", [number]) }
    }

    func removeLease(_ name: String) throws { try execute("DELETE FROM lease WHERE name = ?", [name]) }

    func append(_ row: JournalRow, toJournalOf run: String) throws {
        try execute(
            "INSERT INTO journal (run, number, body, chain) VALUES (?, ?, ?, ?)",
            [run, row.number, row.body, row.chain])
    }

    func removeJournalRows(of run: String, after number: Int) throws {
        try execute("DELETE FROM journal WHERE run = ? AND number > ?", [run, number])
    }

    func put(_ lease: LeaseRow) throws {
        try execute(
            "INSERT OR REPLACE INTO lease (name, holder, epoch, expires_at) VALUES (?, ?, ?, ?)",
            [lease.name, lease.holder, lease.epoch, lease.expiresAt.milliseconds])
    }

    /// Documents are kept as text, so that a vault can be read with any SQLite tool.
    private func text(_ body: Data) -> String { String(decoding: body, as: UTF8.self) }
}
