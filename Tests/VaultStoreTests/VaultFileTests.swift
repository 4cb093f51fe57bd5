import Foundation
import GRDB
import SiteModel
import TestSupport
import Testing

@testable import VaultStore

/// What happens when a file is no vault, or one that may not be used: a clear error, and the file as it was.
@Suite("Opening a vault")
struct VaultFileTests {
    /// A bad path, and what must be said about it.
    struct BadFile: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var code: VaultError.Code
        var says: String
        var create = true
        var opening: @Sendable (inout VaultOpening) -> Void = { _ in }
        /// Makes the bad thing at the path.
        var make: @Sendable (String) throws -> Void
    }

    static let badFiles: [BadFile] = [
        BadFile(testDescription: "nothing there", code: .notFound, says: "no vault at", create: false) { _ in },
        BadFile(testDescription: "plain text", code: .corrupt, says: "not a database") {
            try Data("a shopping list, longer than a hundred bytes: \(String(repeating: "milk ", count: 40))".utf8)
                .write(to: URL(filePath: $0))
        },
        BadFile(testDescription: "empty file", code: .corrupt, says: "not a database") {
            try Data().write(to: URL(filePath: $0))
        },
        BadFile(testDescription: "a folder", code: .corrupt, says: "not a regular file") {
            try FileManager.default.createDirectory(atPath: $0, withIntermediateDirectories: false)
        },
        BadFile(testDescription: "another program's database", code: .corrupt, says: "another program's database") {
            let queue = try DatabaseQueue(path: $0)
            try queue.write { try $0.execute(sql: "CREATE TABLE notes (text)") }
            try queue.close()
        },
        BadFile(testDescription: "half made", code: .corrupt, says: "never completed") {
            try rewrite($0, "PRAGMA application_id = \(VaultFile.applicationID)", fresh: true)
        },
        BadFile(testDescription: "tables missing", code: .corrupt, says: "tables are missing") {
            try makeVault($0)
            try rewrite($0, "DROP TABLE lease")
        },
        BadFile(testDescription: "cut short", code: .corrupt, says: "cut short") {
            try makeVault($0)
            let handle = try FileHandle(forUpdating: URL(filePath: $0))
            try handle.truncate(atOffset: 8192)
            try handle.close()
        },
        BadFile(testDescription: "pages overwritten", code: .corrupt, says: "damaged") {
            try makeVault($0)
            let handle = try FileHandle(forUpdating: URL(filePath: $0))
            try handle.seek(toOffset: 100)
            try handle.write(contentsOf: Data(repeating: 0xA5, count: 3900))
            try handle.close()
        },
        BadFile(
            testDescription: "from a newer version", code: .newerVersion, says: "has version 99; this program knows"
        ) {
            try makeVault($0)
            try rewrite($0, "PRAGMA user_version = 99")
        },
        BadFile(testDescription: "read-only file", code: .readOnly, says: "vault.db is read-only") {
            try makeVault($0)
            try FileManager.default.setAttributes([.posixPermissions: 0o400], ofItemAtPath: $0)
        },
        BadFile(testDescription: "read-only folder", code: .readOnly, says: "is read-only") {
            try makeVault($0)
            let folder = URL(filePath: $0).deletingLastPathComponent().path
            try FileManager.default.setAttributes([.posixPermissions: 0o500], ofItemAtPath: folder)
        },
        BadFile(
            testDescription: "on a network file system", code: .networkFileSystem, says: "(nfs4)",
            opening: { $0.fileSystem = { _ in .network("nfs4") } }, make: makeVault),
        BadFile(
            testDescription: "to be made on a network file system", code: .networkFileSystem, says: "(cifs)",
            opening: { $0.fileSystem = { _ in .network("cifs") } }, make: { _ in }),
    ]

    @Sendable
    static func makeVault(_ path: String) throws {
        try SQLiteVault.open(path: path, create: true).close()
        // The lock file would be a change that the bad case is not to blame for.
        try FileManager.default.removeItem(atPath: VaultLock.path(of: path))
    }

    /// Runs SQL on a file behind the vault's back, leaving no log.
    static func rewrite(_ path: String, _ sql: String, fresh: Bool = false) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.writeWithoutTransaction { db in
            try db.execute(sql: sql)
            if fresh { try db.execute(sql: "CREATE TABLE x (y)") }
        }
        try queue.close()
    }

    /// Every name in a folder with its bytes; nil for folders.
    static func contents(_ folder: String) throws -> [String: Data?] {
        var result: [String: Data?] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            result[name] = .some(FileManager.default.contents(atPath: folder + "/" + name))
        }
        return result
    }

    @Test("A file that cannot be used is named, explained and left as it was", arguments: badFiles)
    func badFile(bad: BadFile) throws {
        let scratch = try Scratch()
        try bad.make(scratch.vault)
        let before = try Self.contents(scratch.path)
        var opening = VaultOpening(path: scratch.vault, create: bad.create)
        bad.opening(&opening)
        let error = #expect(throws: VaultError.self) { try opening.open() }
        #expect(error?.code == bad.code)
        #expect(error?.message.contains(bad.says) == true, "\(error?.message ?? "no error")")
        #expect(error?.message.contains(scratch.vault) == true)
        #expect(error?.hint?.isEmpty == false)
        var after = try Self.contents(scratch.path)
        // Damage behind the header is seen only by opening, which makes the lock file and SQLite's own.
        for suffix in [".lock", "-wal", "-shm"] { after["vault.db" + suffix] = before["vault.db" + suffix] }
        #expect(after == before)
    }

    @Test("An empty path, or one that ends early, is no path", arguments: ["", "a\0b"])
    func badPath(path: String) {
        let error = #expect(throws: VaultError.self) { try SQLiteVault.open(path: path, create: true) }
        #expect(error?.code == .notFound)
    }

    @Test("A new vault is for its owner alone, and so is the folder made for it")
    func permissions() throws {
        let scratch = try Scratch()
        let path = scratch("new/vault.db")
        let vault = try SQLiteVault.open(path: path, create: true)
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(scratch("new")) == 0o700)
        #expect(try mode(path) == 0o600)
        #expect(try mode(path + "-wal") == 0o600)
        #expect(try mode(VaultLock.path(of: path)) == 0o600)
        #expect(try !FileManager.default.contentsOfDirectory(atPath: scratch("new")).contains("vault.db.new"))
        try vault.close()
    }

    @Test("A making that was cut short is begun anew")
    func leftover() async throws {
        let scratch = try Scratch()
        try Data("half a database".utf8).write(to: URL(filePath: scratch.vault + ".new"))
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        try await vault.write { try $0.append(Sample.event("whole")) }
        #expect(try await vault.texts() == ["whole"])
    }

    @Test("A closed vault is opened again with all it held")
    func reopen() async throws {
        let scratch = try Scratch()
        let first = try SQLiteVault.open(path: scratch.vault, create: true)
        try await first.write { try $0.insert(Sample.cloud("gold")) }
        try first.close()
        let second = try SQLiteVault.open(path: scratch.vault, create: true)
        #expect(try await second.read { try $0.objects(Cloud.self).map(\.name) } == ["gold"])
        #expect(try await second.problems() == [])
    }

    @Test("Commits are on stable storage: WAL with full synchronous writes, on every connection that writes")
    func durability() async throws {
        let scratch = try Scratch()
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        let settings = try await vault.settings()
        #expect(
            settings == [
                "journal_mode": "wal", "synchronous": "2", "application_id": "1347570766", "user_version": "3",
            ])
        #expect(VaultFile.applicationID == 1_347_570_766)
    }

    @Test("A record that cannot be read is named, and the rest can still be read")
    func damagedRecord() async throws {
        let scratch = try Scratch()
        let vault = try SQLiteVault.open(path: scratch.vault, create: true)
        try await vault.write { writer throws in
            try writer.insert(Sample.cloud("gold"))
            try writer.insert(Sample.cloud("silver"))
        }
        let foreign = try DatabaseQueue(path: scratch.vault)
        try await foreign.write { try $0.execute(sql: "UPDATE object SET body = '{' WHERE name = 'gold'") }
        let error = await #expect(throws: VaultError.self) {
            try await vault.read { try $0.object(Cloud.self, id: "id-s1-gold") }
        }
        #expect(error?.code == .corrupt)
        #expect(error?.message.contains("cloud id-s1-gold") == true)
        #expect(try await vault.read { try $0.object(Cloud.self, id: "id-s1-silver")?.name } == "silver")
    }

    @Test(
        "A network is told from a local disk by the mount that the path lies on",
        arguments: [
            ("/srv/vault", FileSystemKind.network("nfs4")), ("/srv", .network("nfs4")), ("/srv2/vault", .local),
            ("/srv/local/vault", .local), ("/home/me/my vaults/x", .network("fuse.sshfs")), ("/", .local),
            ("/home/me", .local), ("/covered/x", .network("cifs")), ("/home/usb/x", .local),
        ])
    func fileSystems(path: String, kind: FileSystemKind) {
        let mounts = """
            22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
            40 22 0:35 / /srv rw,relatime shared:20 - nfs4 filer:/srv rw
            41 40 254:2 / /srv/local rw - xfs /dev/vdb rw
            42 22 0:36 / /home/me/my\\040vaults rw - fuse.sshfs me@there: rw
            43 22 254:3 / /covered rw - ext4 /dev/vdc rw
            44 43 0:37 / /covered rw - cifs //filer/share rw
            45 22 0:38 / /home/usb rw - fuseblk /dev/sdb1 rw
            """
        #expect(FileSystemKind.kind(ofCanonical: path, mounts: mounts) == kind)
    }

    @Test("The folder for temporary files is told to be local")
    func probe() throws {
        let scratch = try Scratch()
        #expect(FileSystemKind.probe(scratch.path) == .local)
        #expect(FileSystemKind.probe("/no/such/path") == nil)
    }
}

extension SQLiteVault {
    /// What the connection that writes runs with.
    func settings() async throws -> [String: String] {
        try await onWriter { db in
            try ["journal_mode", "synchronous", "application_id", "user_version"].reduce(into: [:]) {
                $0[$1] = try String.fetchOne(db, sql: "PRAGMA \($1)")
            }
        }
    }
}
