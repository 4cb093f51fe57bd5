import SiteModel
import Synchronization
package import VaultStore

/// The journal of one run, as the one who drives the run writes it.
///
/// Entries are noted at once and become durable together: what is noted while a commit is under way goes with the next one, so
/// that many tasks of a run share one flush of the disk.
///
///     note -> pending -> (a row of the vault, one transaction, with the lease still held) -> durable
package final class RunJournal: Sendable {
    private struct State {
        var pending: [String] = []
        /// What else is written in the transaction of the pending entries.
        var writes: [@Sendable (any VaultWriter) throws -> Void] = []
        /// Entries noted and entries durable since this driver began.
        var noted = 0
        var durable = 0
        var isWriting = false
        var waiters: [Waiter] = []
        var last: JournalRow?
        var failure: (any Error)?
    }

    private struct Waiter {
        var until: Int
        var continuation: CheckedContinuation<Bool, any Error>
    }

    private let vault: any Vault
    private let clock: any EngineClock
    private let lease: KeptLease
    private let run: String
    private let state: Mutex<State>

    /// - Parameters:
    ///   - lease: the right to drive the run: nothing is written without it.
    ///   - last: the newest row that the journal has.
    package init(run: String, last: JournalRow?, lease: KeptLease, vault: any Vault, clock: any EngineClock) {
        self.run = run
        self.lease = lease
        self.vault = vault
        self.clock = clock
        state = Mutex(State(last: last))
    }

    /// Adds an entry of one line, which becomes durable with the next commit, together with what `writes` change.
    package func note(_ entry: String, with writes: [@Sendable (any VaultWriter) throws -> Void] = []) {
        state.withLock { state in
            state.pending.append(entry)
            state.writes += writes
            state.noted += 1
        }
    }

    /// Returns when all that was noted is on stable storage.
    ///
    /// - Throws: `VaultError` of code `leaseLost` when another engine drives the run; nothing is written from then on, whatever
    ///   it was that failed.
    package func commit() async throws {
        let target = state.withLock { $0.noted }
        // One who waited may be woken to write the next row, which has its own entries in it.
        guard try await mayWrite(until: target) else { return }
        let (row, count, writes) = state.withLock { state in
            let taken = (JournalRow(after: state.last, entries: state.pending), state.pending.count, state.writes)
            (state.pending, state.writes) = ([], [])
            return taken
        }
        do {
            let (lease, now, run) = (await lease.lease, clock.now, run)
            try await vault.write { vault in
                try vault.require(lease, now: now)
                try vault.append(row, toJournalOf: run)
                for write in writes { try write(vault) }
            }
        } catch {
            let waiters = state.withLock { state in
                state.failure = state.failure ?? error
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.continuation.resume(throwing: error) }
            throw error
        }
        let (done, next) = state.withLock { state in
            state.last = row
            state.durable += count
            let durable = state.durable
            let done = state.waiters.filter { $0.until <= durable }
            state.waiters.removeAll { $0.until <= durable }
            let next = state.waiters.isEmpty ? nil : state.waiters.removeFirst()
            state.isWriting = next != nil
            return (done, next)
        }
        for waiter in done { waiter.continuation.resume(returning: false) }
        next?.continuation.resume(returning: true)
    }

    /// Waits until so many entries are durable, which is false, or until it is the caller's turn to write.
    private func mayWrite(until target: Int) async throws -> Bool {
        try await withCheckedThrowingContinuation { continuation in
            let outcome = state.withLock { state -> Result<Bool, any Error>? in
                if let failure = state.failure { return .failure(failure) }
                if state.durable >= target { return .success(false) }
                if !state.isWriting {
                    state.isWriting = true
                    return .success(true)
                }
                state.waiters.append(Waiter(until: target, continuation: continuation))
                return nil
            }
            if let outcome { continuation.resume(with: outcome) }
        }
    }
}

extension JournalRow {
    /// The row that follows another one.
    ///
    /// Its body is one entry a line; its chain is SHA-256 over the chain before and the body.
    package init(after last: JournalRow?, entries: [String]) {
        let body = entries.joined(separator: "\n")
        self.init(
            number: (last?.number ?? 0) + 1, body: body,
            chain: SHA256.hexadecimal(of: ((last?.chain ?? "") + "\n" + body).utf8))
    }

    /// The entries, as they were noted.
    package var entries: [Substring] { body.split(separator: "\n") }

    /// Whether the row is the one that was written after that.
    package func follows(_ last: JournalRow?) -> Bool {
        self == JournalRow(after: last, entries: entries.map(String.init))
    }
}
