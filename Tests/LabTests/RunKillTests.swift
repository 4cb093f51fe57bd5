import Foundation
import Glibc
import Lab
import RecoveryEngine
import SiteModel
import TestSupport
import Testing
import VaultStore

/// Scripts whose processes are killed, with real guests: a few in every run of the tests, more by `scripts/soak runs`.
@Suite("Runs that are killed, with real guests", .serialized, .enabled(if: mayMakeLabs, "the lab needs root"))
struct RunKillTests {
    @Test(
        "Killed at random moments and resumed, the single-server scenario goes through, and every guest vouches for its data"
    )
    func killed() async throws {
        let (kills, seed) = Self.wanted
        print("kills of runs: \(kills) from seed \(seed): scripts/soak runs \(kills) \(seed)")
        var chance = Chance(seed: seed)
        try await withLab("kills", agentProgram: builtProgram, siteBytes: 4 << 30) { lab in
            let path = "\(lab.configuration.root)/vault/vault.db"
            try await lab.up()
            try await lab.createGuests()
            try output(of: [builtProgram, "vault", "create", "--vault", path])
            let vault = try SQLiteVault.open(path: path, create: false)
            var left = kills
            while left > 0 {
                // Five at most in one run, so that late moments have their turn as well as early ones.
                let count = min(left, 5)
                left -= count
                try await play(count, lab, path, vault, &chance)
            }
            let status = try output(of: [builtProgram, "status", "--json", "--vault", path])
            let rows = try JSONDecoder().decode([Row].self, from: Data(status.utf8))
            #expect(rows.map(\.vm) == ["orders", "vmm01", "web"])
            for row in rows { #expect(row.state == "protected" && row.owner == "host-a", "\(row)") }
        }
    }

    /// One run of the scenario that is killed so often, each time after so many further rows of its journal.
    private func play(
        _ kills: Int, _ lab: Lab, _ path: String, _ vault: SQLiteVault, _ chance: inout Chance
    ) async throws {
        let before = Set(try await vault.read { try $0.objects(Run.self) }.map(\.value.id))
        var program = try Program([
            builtProgram, "run", projectFile("examples/single-server.lua"), "--vault", path, "--grant", "hosts",
            "--grant", "lab", "--lab-root", lab.configuration.root,
        ])
        defer { program.end(SIGKILL) }
        var run = ""
        var rows = 0
        for kill in 1...kills {
            let goal = rows + chance.number(in: 1...300 / kills)
            let running = program
            try await until("the run has written \(goal) rows", within: .seconds(300)) {
                if run.isEmpty {
                    run =
                        try await vault.read { try $0.objects(Run.self) }.map(\.value.id).first { !before.contains($0) }
                        ?? ""
                }
                let id = run
                rows = try await vault.read { try $0.lastJournalRow(of: id)?.number ?? 0 }
                return rows >= goal || !running.isRunning
            }
            try #require(
                program.isRunning, "it ended by itself before kill \(kill), at row \(rows): \(program.result().errors)")
            program.end(SIGKILL)
            print("  kill \(kill): after row \(rows)")
            program = try Program([
                builtProgram, "resume", run, "--vault", path, "--lab-root", lab.configuration.root,
            ])
        }
        let ended = await Task.detached { [program] in program.result() }.value
        #expect(ended.status == 0, "\(ended.errors)\n\(ended.output)")
    }

    /// How many kills, and the seed: as `scripts/soak` says, or three that each commit chooses anew.
    private static var wanted: (Int, UInt64) {
        let environment = ProcessInfo.processInfo.environment
        if let count = environment["PERILUNE_RUN_KILLS"].flatMap(Int.init), count > 0 {
            return (count, environment["PERILUNE_RUN_SEED"].flatMap(UInt64.init) ?? 1)
        }
        let folder = URL(filePath: #filePath).deletingLastPathComponent().path
        let commit = try? Program.run(["git", "-C", folder, "rev-parse", "HEAD"])
        return (3, commit.flatMap { UInt64($0.output.prefix(8), radix: 16) } ?? 1)
    }

    /// What `status --json` says of a VM, as far as it is looked at here.
    private struct Row: Decodable {
        var vm: String
        var state: String
        var owner: String
    }
}
