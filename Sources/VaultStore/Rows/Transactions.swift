internal import SiteModel

/// A read of either vault.
struct ReadTransaction<Rows: RowReader>: RowBackedReader {
    let rows: Rows
}

/// A write of either vault: what is refused, and how revisions and epochs rise, is decided here for both.
struct WriteTransaction<Rows: RowWriter>: RowBackedReader, VaultWriter {
    let rows: Rows

    func insert<Object: SiteObject>(_ object: Object) throws -> Stored<Object> {
        let row = try Codec.row(object, revision: 1, keepingValue: rows.keepsValues)
        if try rows.document(kind: row.kind, id: row.id) != nil {
            throw VaultError(.duplicate, "A \(Object.kind) with the id \(row.id) is already in the vault.")
        }
        try refuseTakenName(of: row, name: object.name)
        try rows.insert(row)
        return Stored(value: object, revision: 1)
    }

    func update<Object: SiteObject>(_ object: Stored<Object>) throws -> Stored<Object> {
        try refuseStale(object)
        let row = try Codec.row(object.value, revision: object.revision + 1, keepingValue: rows.keepsValues)
        try refuseTakenName(of: row, name: object.value.name)
        try rows.replace(row)
        return Stored(value: object.value, revision: row.revision)
    }

    func delete<Object: SiteObject>(_ object: Stored<Object>) throws {
        try refuseStale(object)
        try rows.remove(kind: Object.kind, id: object.value.id)
    }

    func append(_ event: Event) throws {
        try rows.appendEvent(about: event.object, body: Codec.body(of: event, keepingValue: rows.keepsValues))
    }

    func removeEvents(_ numbers: [Int]) throws {
        let last = try rows.lastEventNumber()
        try rows.removeEvents(numbers.filter { $0 < last })
    }

    private func refuseStale<Object: SiteObject>(_ object: Stored<Object>) throws {
        let what = "\(Object.kind) \"\(object.value.name)\""
        guard let present = try rows.document(kind: Object.kind, id: object.value.id) else {
            throw VaultError(
                .missing, "The \(what) is no longer in the vault.",
                hint: "It was removed meanwhile; read again what is there.")
        }
        guard present.revision == object.revision else {
            throw VaultError(
                .stale,
                "The \(what) was changed by someone else: it is at revision \(present.revision), "
                    + "this change was made to revision \(object.revision).",
                hint: "Read it again and repeat the change.")
        }
    }

    private func refuseTakenName(of row: ObjectRow, name: String) throws {
        guard let holder = try rows.document(kind: row.kind, parent: row.parent, name: row.name), holder.id != row.id
        else { return }
        throw VaultError(
            .duplicate, "A \(row.kind) named \"\(name)\" is already in the vault.", hint: "Choose another name.")
    }
}

/// Leases. Time comes from the caller alone; a lease has run out at the very instant it expires.
extension WriteTransaction {
    func acquireLease(_ name: String, holder: String, now: Timestamp, lifetime seconds: Double) throws -> Lease {
        let present = try rows.leaseRow(name)
        var epoch = (present?.epoch ?? 0) + 1
        if let present, let owner = present.holder, now < present.expiresAt {
            guard owner == holder else {
                throw VaultError(
                    .leaseHeld, "\"\(name)\" is being driven by \(owner).",
                    hint: "Wait for it to end. If its process is dead, the lease runs out within seconds.")
            }
            epoch = present.epoch
        }
        return try put(
            Lease(name: name, holder: holder, epoch: epoch, expiresAt: now.advanced(bySeconds: seconds)))
    }

    func renew(_ lease: Lease, now: Timestamp, lifetime seconds: Double) throws -> Lease {
        try refuseLost(lease)
        var renewed = lease
        renewed.expiresAt = now.advanced(bySeconds: seconds)
        return try put(renewed)
    }

    func require(_ lease: Lease, now: Timestamp) throws {
        guard now < (try refuseLost(lease)).expiresAt else {
            throw lost(lease, "has run out")
        }
    }

    func release(_ lease: Lease) throws {
        guard let present = try rows.leaseRow(lease.name), present.holder == lease.holder, present.epoch == lease.epoch
        else { return }
        try rows.put(LeaseRow(name: lease.name, holder: nil, epoch: lease.epoch, expiresAt: present.expiresAt))
    }

    func forgetLease(_ name: String, now: Timestamp) throws {
        guard let present = try rows.leaseRow(name) else { return }
        if let holder = present.holder, now < present.expiresAt {
            throw VaultError(
                .leaseHeld, "\"\(name)\" is being driven by \(holder).", hint: "Wait for it to end.")
        }
        try rows.removeLease(name)
    }

    func append(_ row: JournalRow, toJournalOf run: String) throws {
        let next = (try rows.lastJournalRow(of: run)?.number ?? 0) + 1
        guard row.number == next else {
            throw VaultError(
                .stale, "The journal of run \(run) is at row \(next - 1), and row \(row.number) cannot follow it.",
                hint: "Somebody else drives the run; see: perilune runs show \(run)")
        }
        try rows.append(row, toJournalOf: run)
    }

    func removeJournal(of run: String, after number: Int) throws {
        try rows.removeJournalRows(of: run, after: number)
    }

    private func put(_ lease: Lease) throws -> Lease {
        try rows.put(
            LeaseRow(name: lease.name, holder: lease.holder, epoch: lease.epoch, expiresAt: lease.expiresAt))
        return lease
    }

    @discardableResult
    private func refuseLost(_ lease: Lease) throws -> LeaseRow {
        guard let present = try rows.leaseRow(lease.name), let holder = present.holder else {
            throw lost(lease, "was given up")
        }
        guard holder == lease.holder, present.epoch == lease.epoch else {
            throw lost(lease, "was taken over by \(holder) (epoch \(present.epoch), ours was \(lease.epoch))")
        }
        return present
    }

    private func lost(_ lease: Lease, _ what: String) -> VaultError {
        VaultError(
            .leaseLost, "The lease on \"\(lease.name)\" \(what).",
            hint: "Stop at once and change nothing more; whoever holds the lease drives the work on.")
    }
}

/// The reading half that both transactions share.
protocol RowBackedReader: VaultReader {
    associatedtype Rows: RowReader
    var rows: Rows { get }
}

extension RowBackedReader {
    func object<Object: SiteObject>(_ type: Object.Type, id: String) throws -> Stored<Object>? {
        try rows.document(kind: Object.kind, id: id).map { try Codec.object(type, from: $0) }
    }

    func object<Object: SiteObject>(
        _ type: Object.Type, named name: String, parent: String?
    ) throws -> Stored<Object>? {
        try rows.document(kind: Object.kind, parent: parent ?? "", name: SortKey.canonical(name))
            .map { try Codec.object(type, from: $0) }
    }

    func objects<Object: SiteObject>(_ type: Object.Type) throws -> [Stored<Object>] {
        try rows.documents(kind: Object.kind, parent: nil).map { try Codec.object(type, from: $0) }
    }

    func objects<Object: SiteObject>(_ type: Object.Type, parent: String) throws -> [Stored<Object>] {
        try rows.documents(kind: Object.kind, parent: parent).map { try Codec.object(type, from: $0) }
    }

    func parents<Object: SiteObject>(of type: Object.Type) throws -> [String] {
        try rows.parents(kind: Object.kind)
    }

    func openJobs() throws -> [Stored<Job>] {
        try rows.openDocuments(kind: Job.kind).map { try Codec.object(Job.self, from: $0) }
    }

    func events(about object: String?, limit: Int) throws -> [Event] {
        try rows.eventBodies(about: object, limit: max(0, limit)).map(Codec.event)
    }

    func events(after number: Int, limit: Int) throws -> [NumberedEvent] {
        try rows.eventBodies(after: number, limit: max(0, limit)).map {
            NumberedEvent(number: $0.number, event: try Codec.event(from: $0.body))
        }
    }

    func lastEventNumber() throws -> Int { try rows.lastEventNumber() }

    func changeNumber() throws -> Int { try rows.changeNumber() }

    func objects<Object: SiteObject>(_ type: Object.Type, changedAfter number: Int) throws -> [Stored<Object>] {
        try rows.documents(kind: Object.kind, changedAfter: number).map { try Codec.object(type, from: $0) }
    }

    func journal(of run: String, after number: Int, limit: Int) throws -> [JournalRow] {
        try rows.journalRows(of: run, after: number, limit: max(0, limit))
    }

    func lastJournalRow(of run: String) throws -> JournalRow? { try rows.lastJournalRow(of: run) }

    func lease(_ name: String) throws -> Lease? {
        guard let row = try rows.leaseRow(name), let holder = row.holder else { return nil }
        return Lease(name: name, holder: holder, epoch: row.epoch, expiresAt: row.expiresAt)
    }
}
