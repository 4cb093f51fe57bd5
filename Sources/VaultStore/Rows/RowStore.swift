internal import Foundation

/// The little that a vault must be able to do with rows: what differs between disk and memory, and nothing else.
protocol RowReader {
    /// Whether values are kept as they are, and not as documents.
    var keepsValues: Bool { get }
    func document(kind: String, id: String) throws -> Document?
    func document(kind: String, parent: String, name: String) throws -> Document?
    /// Documents of one kind, by sort key, then name, then id; only those under `parent` if it is given.
    func documents(kind: String, parent: String?) throws -> [Document]
    /// Parents of the documents of one kind, each once, in binary order.
    func parents(kind: String) throws -> [String]
    /// Documents of one kind with an `openSince`, oldest first, then by id.
    func openDocuments(kind: String) throws -> [Document]
    /// The newest events, newest first.
    func eventBodies(about object: String?, limit: Int) throws -> [Body]
    /// Events after one of that number, oldest first.
    func eventBodies(after number: Int, limit: Int) throws -> [(number: Int, body: Body)]
    func lastEventNumber() throws -> Int
    /// Counts the rows that were inserted, replaced and removed.
    func changeNumber() throws -> Int
    /// Documents of one kind that were inserted or replaced after that change.
    func documents(kind: String, changedAfter number: Int) throws -> [Document]
    func leaseRow(_ name: String) throws -> LeaseRow?
    /// Rows of a run's journal after one of that number, in order.
    func journalRows(of run: String, after number: Int, limit: Int) throws -> [JournalRow]
    func lastJournalRow(of run: String) throws -> JournalRow?
}

/// The same inside a transaction that may write.
///
/// Checks are made by the caller: these do as they are told.
protocol RowWriter: RowReader {
    func insert(_ row: ObjectRow) throws
    func replace(_ row: ObjectRow) throws
    func remove(kind: String, id: String) throws
    func appendEvent(about object: String?, body: Body) throws
    func removeEvents(_ numbers: [Int]) throws
    func put(_ lease: LeaseRow) throws
    func removeLease(_ name: String) throws
    func append(_ row: JournalRow, toJournalOf run: String) throws
    func removeJournalRows(of run: String, after number: Int) throws
}
