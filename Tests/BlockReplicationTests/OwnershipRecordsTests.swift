import Foundation
import Glibc
import SiteModel
import Synchronization
import TestSupport
import Testing

@testable import BlockReplication

@Suite("The records of who may write which VM, and more than one process at them")
struct OwnershipRecordsTests {
    private func withStore(_ body: (String) async throws -> Void) async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        try await body(scratch.path)
    }

    private func record(epoch: Int, owner: String) -> OwnershipRecord {
        OwnershipRecord(relationship: "orders", vmUUID: "u", owner: owner, epoch: epoch, host: "a")
    }

    /// Stands for another process: a lock of its own on the same file.
    private func locked(_ store: String) throws -> CInt {
        let descriptor = open("\(store)/ownership/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        try #require(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        return descriptor
    }

    private func letGo(_ descriptor: CInt) {
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// The agent is writing that another host owns the VM, when an operator says that this one owns all that it did.
    @Test("An operator's word does not overtake a later ownership that another process is writing")
    func operatorAndAgent() async throws {
        try await withStore { store in
            // A boot: what was confirmed before is not any more.
            try OwnershipRecords(store: store, runtime: store + "/before").write(record(epoch: 1, owner: "a"))
            let agent = try locked(store)
            let (begun, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            let answer = Mutex<[OwnershipRecord]?>(nil)
            Thread.detachNewThread {
                begun.signal()
                let said = try? OwnershipRecords.confirmAlone(
                    store: store, runtime: store + "/now", at: Timestamp(milliseconds: 7))
                answer.withLock { $0 = said }
                ended.signal()
            }
            let later = record(epoch: 2, owner: "b")
            let written = try JSONEncoder().encode(later)
            let early = await onThread {
                begun.wait()
                let early = ended.wait(timeout: .now() + 0.5)
                try? written.write(to: URL(filePath: "\(store)/ownership/orders.json"))
                letGo(agent)
                if early == .timedOut { ended.wait() }
                return early
            }
            #expect(early == .timedOut, "it did not wait for the other process")
            #expect(answer.withLock { $0 } == [])
            let records = OwnershipRecords(reading: store, runtime: store + "/now")
            #expect(try records.read("orders") == later)
            #expect(!records.isConfirmed(record(epoch: 1, owner: "a")))
        }
    }

    @Test("A record is written, and removed, only when no other process is at the records", arguments: [true, false])
    func writers(_ removes: Bool) async throws {
        try await withStore { store in
            let records = try OwnershipRecords(store: store, runtime: nil)
            try records.write(record(epoch: 1, owner: "a"))
            let other = try locked(store)
            let (begun, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            let later = record(epoch: 2, owner: "b")
            Thread.detachNewThread {
                begun.signal()
                if removes { try? records.remove("orders") } else { try? records.write(later) }
                ended.signal()
            }
            let (early, seen) = await onThread {
                begun.wait()
                let early = ended.wait(timeout: .now() + 0.3)
                // libvirt's hook reads them all the same: it must never wait.
                let seen = try? OwnershipRecords(reading: store, runtime: store).read("orders")
                letGo(other)
                if early == .timedOut { ended.wait() }
                return (early, seen)
            }
            #expect(early == .timedOut)
            #expect(seen?.epoch == 1)
            #expect(try records.read("orders") == (removes ? nil : later))
        }
    }

    @Test("Who waits too long for the records is told who to look for")
    func patience() async throws {
        try await withStore { store in
            _ = try OwnershipRecords(store: store, runtime: nil)
            let other = try locked(store)
            defer { letGo(other) }
            let error = #expect(throws: ReplicationError.self) {
                _ = try RecordsLock("\(store)/ownership/.lock", patience: 0.05)
            }
            #expect(error?.code == .busy && error?.hint.contains("fuser") == true)
        }
    }

    @Test("Two that confirm by the operator's word both pass, one after the other, and the first word is what is kept")
    func twice() async throws {
        try await withStore { store in
            try OwnershipRecords(store: store, runtime: store + "/before").write(record(epoch: 1, owner: "a"))
            let results = try await withThrowingTaskGroup(of: [OwnershipRecord].self) { group in
                for time in [1, 2] as [Int64] {
                    group.addTask {
                        try OwnershipRecords.confirmAlone(
                            store: store, runtime: store + "/now", at: Timestamp(milliseconds: time))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.map(\.count) == [1, 1])
            #expect(Set(results.flatMap { $0 }.map(\.startedAlone)).count == 1, "the second found it confirmed")
        }
    }

    /// Runs on a thread that nothing else needs, from beginning to end: who waits for the lock has no patience for other tests.
    private func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: body()) }
        }
    }
}
