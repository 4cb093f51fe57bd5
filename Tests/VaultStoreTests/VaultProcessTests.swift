import Foundation
import GRDB
import SiteModel
import TestSupport
import Testing

@testable import VaultStore

/// Several processes and one vault.
///
/// The other processes are real ones, ended by a real signal where a death is meant.
@Suite("Many processes, one vault")
struct VaultProcessTests {
    @Test("Processes that write at once lose nothing of each other's")
    func writers() async throws {
        let scratch = try Scratch()
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        try await vault.write { try $0.insert(Sample.cloud("gold")) }
        let path = scratch.vault
        try await withThrowingTaskGroup(of: Void.self) { group in
            for process in 0..<3 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String, process = process as Int] in
                        let vault = try SQLiteVault.open(path: path)
                        for step in 0..<40 { try await Self.append("\(process).\(step)", to: vault) }
                    }
                }
            }
            group.addTask {
                for step in 0..<40 { try await Self.append("here.\(step)", to: vault) }
            }
            try await group.waitForAll()
        }
        let cloud = try await vault.read { try $0.object(Cloud.self, id: "id-s1-gold") }
        #expect(cloud?.revision == 161)
        #expect(Set(cloud?.value.hosts ?? []).count == 161)
        #expect(try await vault.texts().count == 160)
        #expect(try await vault.problems() == [])
    }

    static func append(_ text: String, to vault: SQLiteVault) async throws {
        try await vault.write { writer throws in
            guard var cloud = try writer.object(Cloud.self, id: "id-s1-gold") else { return }
            cloud.hosts.append(text)
            try writer.update(cloud)
            try writer.append(Sample.event(text))
        }
    }

    @Test("Processes that want one new vault at once get the same one, whole")
    func creators() async throws {
        let scratch = try Scratch()
        let path = scratch.vault
        await withTaskGroup(of: Void.self) { group in
            for process in 0..<4 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String, process = process as Int] in
                        let vault = try SQLiteVault.open(path: path, create: true)
                        try await vault.write { try $0.append(Sample.event("from \(process)")) }
                    }
                }
            }
        }
        let vault = try SQLiteVault.open(path: path)
        #expect(try await Set(vault.texts()) == ["from 0", "from 1", "from 2", "from 3"])
    }

    @Test("A process killed in the middle of a write leaves nothing of it, and no lock")
    func killed() async throws {
        let scratch = try Scratch()
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        let path = scratch.vault
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let vault = try SQLiteVault.open(path: path)
            try await vault.write { try $0.append(Sample.event("done")) }
            try await vault.write { writer throws in
                // More than the page cache holds, so that pages of it are in the log already.
                for number in 0..<20_000 { try writer.append(Sample.event("half \(number)")) }
                kill(getpid(), SIGKILL)
            }
        }
        #expect(try await vault.texts() == ["done"])
        try await vault.write { try $0.append(Sample.event("after")) }
        try vault.close()
        let again = try SQLiteVault.open(path: path)
        #expect(try await again.texts() == ["after", "done"])
        #expect(try await again.problems() == [])
    }

    @Test("A commit that was reported is there after the process is killed")
    func committed() async throws {
        let scratch = try Scratch()
        let path = scratch.vault
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let vault = try SQLiteVault.open(path: path, create: true)
            for number in 0..<50 { try await vault.write { try $0.append(Sample.event("\(number)")) } }
            kill(getpid(), SIGKILL)
        }
        let vault = try SQLiteVault.open(path: path)
        #expect(try await vault.texts().count == 50)
    }

    @Test("A lease of a process that was killed is refused until it runs out, then taken over")
    func lease() async throws {
        let scratch = try Scratch()
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        let path = scratch.vault
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let vault = try SQLiteVault.open(path: path)
            try await vault.write {
                _ = try $0.acquireLease("job", holder: "dead", now: LeaseTests.at(0), lifetime: 15)
            }
            kill(getpid(), SIGKILL)
        }
        await #expect(throws: VaultError.self) { try await LeaseTests.acquire(vault, "next", at: 14) }
        let lease = try await LeaseTests.acquire(vault, "next", at: 15)
        #expect(lease.epoch == 2)
    }

    @Test("A write waits for another program's write, and says so when that takes too long")
    func busy() async throws {
        let scratch = try Scratch()
        try SQLiteVault.open(path: scratch.vault, create: true).close()
        var opening = VaultOpening(path: scratch.vault, create: false)
        opening.busyTimeout = 0.1
        let vault = try opening.open()
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let foreign = try DatabaseQueue(path: scratch.vault, configuration: configuration)
        try await foreign.writeWithoutTransaction { try $0.beginTransaction(.immediate) }
        #expect(await vault.refusal { try $0.append(Sample.event("x")) } == .locked)
        // Reading goes on meanwhile.
        #expect(try await vault.texts() == [])
        try await foreign.writeWithoutTransaction { try $0.rollback() }
        #expect(await vault.refusal { try $0.append(Sample.event("x")) } == nil)
    }

    @Test("A vault that is being migrated is not opened; the error names the lock and its holder")
    func lockedByMigration() throws {
        let scratch = try Scratch()
        try SQLiteVault.open(path: scratch.vault, create: true).close()
        let before = try Data(contentsOf: URL(filePath: scratch.vault))
        let migration = try VaultLock(vault: scratch.vault, mode: .alone, patience: 0)
        var opening = VaultOpening(path: scratch.vault, create: true)
        opening.patience = 0.05
        let error = #expect(throws: VaultError.self) { try opening.open() }
        #expect(error?.code == .locked)
        #expect(error?.message.contains(migration.path) == true)
        #expect(error?.message.contains("process \(getpid())") == true)
        #expect(try Data(contentsOf: URL(filePath: scratch.vault)) == before)
    }

    /// The present schema and one step more.
    static let next = Schema(migrations: Schema.current.migrations + ["ALTER TABLE event ADD COLUMN run TEXT"])

    @Test("An older vault is migrated with all it holds, and an older program then refuses it")
    func migration() async throws {
        let scratch = try Scratch()
        let old = try SQLiteVault.open(path: scratch.vault, create: true)
        try await old.write { try $0.append(Sample.event("kept")) }
        try old.close()
        var opening = VaultOpening(path: scratch.vault, create: false)
        opening.schema = Self.next
        let new = try opening.open()
        #expect(try await new.texts() == ["kept"])
        let error = #expect(throws: VaultError.self) { try SQLiteVault.open(path: scratch.vault) }
        #expect(error?.code == .newerVersion)
    }

    @Test("Of several programs that find an older vault at once, one migrates it and all go on")
    func migrationRace() async throws {
        let scratch = try Scratch()
        try SQLiteVault.open(path: scratch.vault, create: true).close()
        let path = scratch.vault
        await withTaskGroup(of: Void.self) { group in
            for process in 0..<3 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String, process = process as Int] in
                        var opening = VaultOpening(path: path, create: false)
                        opening.schema = Self.next
                        let vault = try opening.open()
                        try await vault.write { try $0.append(Sample.event("from \(process)")) }
                    }
                }
            }
        }
        var opening = VaultOpening(path: path, create: false)
        opening.schema = Self.next
        let vault = try opening.open()
        #expect(try await Set(vault.texts()) == ["from 0", "from 1", "from 2"])
        #expect(try await vault.settings()["user_version"] == "\(Self.next.version)")
    }

    @Test("An older vault that another process uses is not migrated under it")
    func migrationNeedsToBeAlone() async throws {
        let scratch = try Scratch()
        let user = try SQLiteVault.open(path: scratch.vault, create: true)
        var opening = VaultOpening(path: scratch.vault, create: false)
        opening.schema = Self.next
        opening.patience = 0.05
        let error = #expect(throws: VaultError.self) { try opening.open() }
        #expect(error?.code == .locked)
        #expect(error?.message.contains("other processes have it open") == true)
        try await user.write { try $0.append(Sample.event("still works")) }
        #expect(try await user.settings()["user_version"] == "\(Schema.current.version)")
    }

    @Test("A migration that fails leaves the vault at the version that it had")
    func failedMigration() async throws {
        let scratch = try Scratch()
        try SQLiteVault.open(path: scratch.vault, create: true).close()
        var opening = VaultOpening(path: scratch.vault, create: false)
        opening.schema = Schema(migrations: Schema.current.migrations + ["DROP TABLE event; SELECT nonsense"])
        #expect(throws: VaultError.self) { try opening.open() }
        let vault = try SQLiteVault.open(path: scratch.vault)
        try await vault.write { try $0.append(Sample.event("still there")) }
        #expect(try await vault.texts() == ["still there"])
    }
}
