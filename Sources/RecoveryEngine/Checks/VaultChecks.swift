package import SiteModel
package import VaultStore

/// What was learnt of the vault's file and of the program that works on it.
package struct VaultFacts: Sendable {
    /// Nil for a vault that is no file.
    package var place: VaultPlace?
    /// Why it could not be opened, and what to do; nil when it is open.
    package var openFailure: (message: String, hint: String?)?
    /// Why nothing is done in the name of this copy; nil when it is the vault.
    package var superseded: (message: String, hint: String?)?
    /// Names of the hosts in it.
    package var hosts: [String]
    package var servers: Int
    /// Folder of the Lua modules that come with the program; nil when it was not found.
    package var standardLibrary: String?
    /// How many VMs are replicated.
    package var replicated: Int
    /// Whether `perilune replicate` runs for it, as of `now`; nil when it could not be asked.
    package var replicator: ReplicatorStanding?
    package var now: Timestamp

    package init(
        place: VaultPlace?, openFailure: (message: String, hint: String?)? = nil, hosts: [String] = [],
        servers: Int = 0, standardLibrary: String? = nil, replicated: Int = 0, replicator: ReplicatorStanding? = nil,
        now: Timestamp = Timestamp(milliseconds: 0)
    ) {
        self.place = place
        self.openFailure = openFailure
        self.hosts = hosts
        self.servers = servers
        self.standardLibrary = standardLibrary
        self.replicated = replicated
        self.replicator = replicator
        self.now = now
    }
}

/// What must hold of the vault.
package enum VaultChecks {
    /// Less than this beside the vault is told of: its log grows by a few KiB a cycle.
    static let spaceWanted: UInt64 = 256 << 20

    static let all: [Check<VaultFacts>] = [
        Check(
            "vault-opens", .vault, "The vault can be opened, and is of a version that this program knows.",
            source: "3, rows 1 and 2", fix: "perilune vault create --vault PATH"
        ) { facts in
            if let failure = facts.openFailure { return .fail(failure.message, fix: failure.hint) }
            return .ok(facts.place?.path ?? "in memory")
        },
        Check(
            "vault-in-force", .vault, "No other copy of the vault was promoted in its place.", source: "DESIGN 4",
            fix: "Work with the promoted copy (--vault, PERILUNE_VAULT)."
        ) { facts in
            if facts.openFailure != nil { return .skipped("it is not open") }
            return facts.superseded.map { .fail($0.message, fix: $0.hint) }
                ?? .ok("hosts obey it, or none has been asked yet")
        },
        Check(
            "vault-permissions", .vault, "Only its owner may read and write the vault.", source: "DESIGN 4",
            fix: "chmod 600 the vault's file, and 700 its folder: whoever writes it decides what runs where."
        ) { facts in
            guard let mode = facts.place?.mode else { return .skipped("there is no file") }
            let folder = facts.place?.folderMode ?? 0
            if mode & 0o022 != 0 { return .fail("others may write it (mode \(octal(mode)))") }
            // A folder with the sticky bit lets nobody replace another's file.
            if folder & 0o022 != 0, folder & 0o1000 == 0 {
                return .fail("others may write its folder (mode \(octal(folder))), and so replace it")
            }
            if mode & 0o044 != 0 { return .warn("others may read it (mode \(octal(mode)))") }
            return .ok("mode \(octal(mode))")
        },
        Check(
            "vault-file-system", .vault, "The vault lies on a local file system.", source: "DESIGN 4",
            fix: "Move it to a local disk; its second place is kept by shipping it, not by sharing it."
        ) { facts in
            guard let place = facts.place else { return .skipped("there is no file") }
            return place.networkFileSystem.map {
                .fail("it lies on a network file system (\($0)), where locks do not hold")
            }
                ?? .ok("local")
        },
        Check(
            "vault-space", .vault, "There is room for the vault to grow.", source: "3, row 15",
            fix: "Free space beside the vault: an operation that cannot be recorded is not begun."
        ) { facts in
            guard let free = facts.place?.freeBytes else { return .skipped("there is no file") }
            return free < spaceWanted ? .warn("\(bytes(free)) free") : .ok("\(bytes(free)) free")
        },
        Check(
            "hosts-registered", .vault, "The vault knows a server, and two hosts at least.",
            source: "3, rows 7 and 10", fix: "Register them by a script: vault:server { ... }, vault:host { ... }."
        ) { facts in
            if facts.openFailure != nil { return .skipped("the vault is not open") }
            if facts.hosts.count < 2 { return .fail("hosts: \(listed(facts.hosts))") }
            if facts.servers == 0 { return .warn("it knows no server: VMs can be replicated by hosts alone") }
            return .ok("\(facts.hosts.count) hosts, \(facts.servers) server\(facts.servers == 1 ? "" : "s")")
        },
        Check(
            "replicator-runs", .vault, "One `perilune replicate` runs for the vault.", source: "DESIGN 4; 2.3, cycles",
            fix: "Start it as a service of this machine: perilune replicate --vault PATH"
        ) { facts in
            guard let replicator = facts.replicator else { return .skipped("the vault is not open") }
            if facts.superseded != nil { return .skipped("another copy is the vault") }
            let words = replicator.words(now: facts.now)
            if replicator.isRunning { return .ok(words) }
            if facts.replicated == 0 { return .ok("no VM is replicated yet; \(words)") }
            return .fail(
                "no point is made on time, and nothing returns by itself: \(words)",
                fix: facts.place.map { "Start it as a service of this machine: perilune replicate --vault \($0.path)" })
        },
        Check(
            "standard-library", .vault, "The Lua modules that come with the program are found.", source: "3, row 23",
            fix: "Install share/perilune/stdlib beside the program, or name a folder with --library."
        ) { facts in
            facts.standardLibrary.map { .ok($0) } ?? .fail("no folder stdlib with health.lua lies near the program")
        },
    ]

    /// Judges a vault.
    package static func judge(_ facts: VaultFacts) -> [CheckFinding] {
        all.flatMap { $0.findings(facts, object: "vault") }
    }

    private static func octal(_ mode: UInt32) -> String {
        let digits = String(mode & 0o7777, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
