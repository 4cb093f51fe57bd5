package import SiteModel

/// The durable record of what exists and what was done: one protocol, kept on disk by SQLite or in memory for
/// simulation.
///
/// `write` is one transaction: it takes effect whole and is on stable storage when the call returns, or it changes
/// nothing. Any number of processes may have one vault open. Neither call is cut short when its task is cancelled: an
/// operation that is being stopped can still write down how far it came.
package protocol Vault: Sendable {
    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultReader) throws -> Result
    ) async throws -> Result

    @discardableResult
    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any VaultWriter) throws -> Result
    ) async throws -> Result
}

/// An object with the revision it was read at.
@dynamicMemberLookup
package struct Stored<Object: SiteObject>: Sendable, Hashable {
    package var value: Object
    /// Counts the writes of this object, from 1.
    ///
    /// An update of an older revision is refused.
    package let revision: Int

    package init(value: Object, revision: Int) {
        self.value = value
        self.revision = revision
    }

    package subscript<Member>(dynamicMember path: KeyPath<Object, Member>) -> Member { value[keyPath: path] }

    package subscript<Member>(dynamicMember path: WritableKeyPath<Object, Member>) -> Member {
        get { value[keyPath: path] }
        set { value[keyPath: path] = newValue }
    }
}

/// A consistent view of the vault, valid inside the closure that it was handed to.
package protocol VaultReader {
    func object<Object: SiteObject>(_ type: Object.Type, id: String) throws -> Stored<Object>?
    /// The object of that name under that parent.
    func object<Object: SiteObject>(_ type: Object.Type, named name: String, parent: String?) throws -> Stored<Object>?
    /// All objects of one kind, by name; numbers in names are in numeric order ("vm2" before "vm10").
    func objects<Object: SiteObject>(_ type: Object.Type) throws -> [Stored<Object>]
    /// All objects of one kind under one parent, by name; numbers in names are in numeric order.
    func objects<Object: SiteObject>(_ type: Object.Type, parent: String) throws -> [Stored<Object>]
    /// What objects of one kind are under, each once, in order.
    func parents<Object: SiteObject>(of type: Object.Type) throws -> [String]
    /// Jobs that have not ended, oldest first.
    func openJobs() throws -> [Stored<Job>]
    /// The newest events, newest first; those of one object if `object` is given.
    func events(about object: String?, limit: Int) throws -> [Event]
    /// The events after one of that number, oldest first; 0 stands before the first.
    func events(after number: Int, limit: Int) throws -> [NumberedEvent]
    /// Number of the newest event; 0 when there is none.
    func lastEventNumber() throws -> Int
    /// Counts the writes of objects: who has seen it at this number has missed nothing.
    func changeNumber() throws -> Int
    /// Objects of one kind that were written after that change, in any order; removed ones do not show.
    func objects<Object: SiteObject>(_ type: Object.Type, changedAfter number: Int) throws -> [Stored<Object>]
    /// The lease by that name, live or run out; nil when nobody holds it.
    func lease(_ name: String) throws -> Lease?
    /// Rows of a run's journal after one of that number, in order; 0 stands before the first.
    func journal(of run: String, after number: Int, limit: Int) throws -> [JournalRow]
    /// The newest row of a run's journal; nil while it is empty.
    func lastJournalRow(of run: String) throws -> JournalRow?
}

/// A transaction under way.
package protocol VaultWriter: VaultReader {
    /// Adds an object. Refused (`duplicate`) when its id, or its name under its parent, is taken.
    @discardableResult
    func insert<Object: SiteObject>(_ object: Object) throws -> Stored<Object>
    /// Replaces an object. Refused (`stale`) when it was written since it was read, (`missing`) when it is gone.
    @discardableResult
    func update<Object: SiteObject>(_ object: Stored<Object>) throws -> Stored<Object>
    /// Removes an object. Refused (`stale`) when it was written since it was read.
    func delete<Object: SiteObject>(_ object: Stored<Object>) throws
    func append(_ event: Event) throws
    /// Removes events by their numbers; numbers that are not there, and the newest event, are passed over.
    ///
    /// The newest stays because its number is what the next one is counted from.
    func removeEvents(_ numbers: [Int]) throws

    /// Takes a lease that is free, has run out by `now`, or is already `holder`'s; its epoch goes up unless it was the
    /// holder's and live. Refused (`leaseHeld`, naming the holder) otherwise.
    func acquireLease(_ name: String, holder: String, now: Timestamp, lifetime seconds: Double) throws -> Lease
    /// Extends a lease. Refused (`leaseLost`) when another epoch is in force.
    func renew(_ lease: Lease, now: Timestamp, lifetime seconds: Double) throws -> Lease
    /// Refused (`leaseLost`) when the lease is no longer the holder's at this epoch, or has run out by `now`.
    func require(_ lease: Lease, now: Timestamp) throws
    /// Gives a lease up; does nothing when it is no longer in force. The next one by that name has a higher epoch.
    func release(_ lease: Lease) throws
    /// Removes all that is known of a lease, its epoch too: for one that is never taken again.
    ///
    /// Refused (`leaseHeld`) while somebody holds it.
    func forgetLease(_ name: String, now: Timestamp) throws

    /// Adds a row to a run's journal. Refused (`stale`) when its number is not the next one: somebody else writes it too.
    func append(_ row: JournalRow, toJournalOf run: String) throws
    /// Removes the rows of a run's journal after one of that number; 0 removes all.
    func removeJournal(of run: String, after number: Int) throws
}

/// One commit of a run's journal.
package struct JournalRow: Hashable, Sendable {
    /// From 1, without gaps.
    package var number: Int
    /// What became durable together, as its writer reads it.
    package var body: String
    /// What ties the row to all before it: a digest over the row before and this one's body.
    package var chain: String

    package init(number: Int, body: String, chain: String) {
        self.number = number
        self.body = body
        self.chain = chain
    }
}

/// An event with its place in the order of all.
package struct NumberedEvent: Hashable, Sendable {
    /// From 1.
    package var number: Int
    package var event: Event

    package init(number: Int, event: Event) {
        self.number = number
        self.event = event
    }
}

/// The right to drive one job or run, for a time.
package struct Lease: Hashable, Sendable, Codable {
    package var name: String
    /// Who holds it ("host:pid:uuid").
    package var holder: String
    package var epoch: Int
    package var expiresAt: Timestamp

    package init(name: String, holder: String, epoch: Int, expiresAt: Timestamp) {
        self.name = name
        self.holder = holder
        self.epoch = epoch
        self.expiresAt = expiresAt
    }
}
