import BlockReplication
import Foundation
import SiteModel
package import VaultStore

/// Ships the vault to its second place, again and again: what is there is always the whole vault of one instant.
///
/// Every process that runs operations ships, and one at a time does it. A place where a promoted copy lies is never written
/// over: then this vault is the one that must stand back.
package actor VaultShipper {
    /// What shipping leaves beside a vault, by the ends of the names.
    static let traces = [".shipping", ".shipped", ".outgoing"]
    /// Seconds between two shipments, so that with the time that one takes the copy is never more than 5 s behind.
    package static let interval = 3.0

    private let vault: SQLiteVault
    private let connections: any Connections
    private let clock: any EngineClock
    private let probe: VaultProbe
    /// The vault's changes and place at this process's last shipment.
    private var shipped: (changes: Int, place: SecondPlace)?
    private var lastTrouble: String?

    package init(vault: SQLiteVault, connections: any Connections, clock: any EngineClock) throws {
        self.vault = vault
        self.connections = connections
        self.clock = clock
        probe = try VaultProbe(vault)
    }

    /// Ships until it is cancelled; `trouble` is told of each new reason why it cannot.
    package func run(trouble: @Sendable (String) -> Void) async {
        while !Task.isCancelled {
            do {
                try await ship()
                lastTrouble = nil
            } catch is CancellationError {
                return
            } catch {
                let text = JobDriver.describe(error).message
                if text != lastTrouble { trouble(text) }
                lastTrouble = text
            }
            do { try await clock.sleep(seconds: Self.interval) } catch { return }
        }
    }

    /// Brings the second place up to date; does nothing without one.
    package func ship() async throws {
        guard let identity = try await vault.identity(), let place = identity.secondPlace else { return }
        if let refusal = identity.refusal(vault.path) { throw refusal }
        let lock = open(vault.path + ".shipping", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { return }
        defer {
            // Closing alone leaves it locked while a program that is just being started holds a copy of the descriptor.
            flock(lock, LOCK_UN)
            close(lock)
        }
        // Another process is at it: what it ships is at most a moment older.
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { return }
        // Looked at before the copy: what is committed meanwhile counts as not shipped.
        let changes = try vault.changes(probe)
        let isNews = shipped.map { $0 != (changes, place) } ?? true
        switch place {
        case .file(let path): try await ship(to: path, identity, isNews)
        case .host(let id): try await ship(toHost: id, identity, isNews)
        }
        shipped = (changes, place)
        VaultAge.mark(vault.path)
    }

    private func ship(to path: String, _ identity: VaultIdentity, _ isNews: Bool) async throws {
        try Self.requireOtherFile(path, than: vault)
        if let there = try SQLiteVault.identity(ofCopyAt: path) {
            guard there.id == identity.id else {
                throw EngineError(
                    .refused, "another vault lies at \(path)",
                    hint: "name another second place: perilune vault ship --to")
            }
            guard there.standing.admits(identity.standing) else {
                throw try await vault.standBack(identity, for: there.epoch, as: there.promotion, path: vault.path)
            }
        } else if !isNews {
            return try await vault.copy(to: path)
        }
        if isNews { try await vault.copy(to: path) }
    }

    /// A vault is no second place of its own.
    ///
    /// A name that stands for its file is found out here, however it is written; a copy made by hand is another file.
    package static func requireOtherFile(_ path: String, than vault: SQLiteVault) throws {
        guard let there = FileMark(path), there == FileMark(vault.path) else { return }
        throw EngineError(
            .refused, "\(path) is the vault itself, not a second place",
            hint: "name a file on a disk of another site, or host:NAME: perilune vault ship --to")
    }

    private func ship(toHost id: String, _ identity: VaultIdentity, _ isNews: Bool) async throws {
        let standing = identity.standing
        guard let host = try await vault.read({ try $0.object(SiteModel.Host.self, id: id)?.value }) else {
            throw EngineError(
                .unknown, "the second place of the vault, host \(id), is not in it",
                hint: "name another: perilune vault ship --to")
        }
        let agent = try await connections.agent(of: host)
        do {
            guard isNews else { return try await agent.attend(standing) }
            let draft = vault.path + ".outgoing"
            try await vault.copy(toDraft: draft)
            defer { unlink(draft) }
            guard let file = FileHandle(forReadingAtPath: draft) else { throw CocoaError(.fileReadUnknown) }
            defer { try? file.close() }
            let size = try file.seekToEnd()
            var offset: UInt64 = 0
            try file.seek(toOffset: 0)
            while offset < size {
                let data = try file.read(upToCount: VaultPart.maximumBytes) ?? Data()
                guard !data.isEmpty else { throw CocoaError(.fileReadUnknown) }
                try await agent.keepVault(
                    VaultPart(
                        vault: standing, offset: offset, data: data, isLast: offset + UInt64(data.count) == size))
                offset += UInt64(data.count)
            }
        } catch let error as ReplicationError {
            guard let (epoch, promotion) = error.obeyed else { throw error }
            throw try await vault.standBack(identity, for: epoch, as: promotion, path: vault.path)
        }
    }
}

/// When the vault's second place was last known to have all of it: a file beside the vault tells.
package enum VaultAge {
    /// Past this, in seconds, the second place is behind and somebody should know.
    package static let limit = 5.0

    static func path(_ vault: String) -> String { vault + ".shipped" }

    static func mark(_ vault: String) {
        let path = path(vault)
        if !FileManager.default.createFile(atPath: path, contents: Data()) { return }
    }

    /// Seconds since then; nil when it never was.
    package static func seconds(ofVault path: String) -> Double? {
        let details = try? FileManager.default.attributesOfItem(atPath: Self.path(path))
        return (details?[.modificationDate] as? Date).map { max(0, -$0.timeIntervalSinceNow) }
    }
}
