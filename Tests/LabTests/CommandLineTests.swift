import Glibc
import TestSupport
import Testing

/// The program as an operator meets it, with no site behind it.
@Suite("The command line, without a lab", .serialized)
struct CommandLineTests {
    struct Mistake: Sendable, CustomTestStringConvertible {
        var words: [String]
        var status: Int32
        var says: String
        var testDescription: String { words.joined(separator: " ") }
    }

    static let mistakes: [Mistake] = [
        Mistake(words: ["statsu"], status: 64, says: "did you mean 'status'?"),
        Mistake(
            words: ["recovery-plan", "failovr"], status: 64, says: "perilune recovery-plan has no command 'failovr'"),
        Mistake(words: ["frobnicate"], status: 64, says: "Unexpected argument"),
        Mistake(words: ["failover", "vm", "--planned", "--fence"], status: 64, says: "a fence ends that host at once"),
        Mistake(
            words: ["recovery-plan", "failover", "shop", "--fence", "--declared-lost"], status: 64,
            says: "exclude each other"),
        Mistake(words: ["status", "--why"], status: 64, says: "perilune status VM --why"),
    ]

    @Test("A mistake is told with what is right, and ends with the status of its kind", arguments: mistakes)
    func mistake(_ mistake: Mistake) async throws {
        let result = try await Program.result(of: [builtProgram] + mistake.words)
        #expect(result.status == mistake.status, "\(result.errors)")
        #expect(result.errors.contains(mistake.says), "\(result.errors)")
    }

    @Test("A second replicate is refused with who has the vault; one that waits follows the first")
    func replicators() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let vault = scratch("vault.db")
        #expect(try await Program.result(of: [builtProgram, "vault", "create", "--vault", vault]).status == 0)
        let words = [builtProgram, "replicate", "--vault", vault]
        let first = try Program(words)
        defer { first.end(SIGKILL) }
        try await until { try await self.standing(vault).contains("process \(first.processIdentifier) at ") }
        let second = try await Program.result(of: words)
        #expect(second.status == 2, "\(second.errors)")
        #expect(second.errors.contains("process \(first.processIdentifier) at "), "\(second.errors)")
        #expect(first.isRunning)

        let next = try Program(words + ["--wait"])
        defer { next.end(SIGKILL) }
        first.end(SIGINT)
        #expect(first.result().output.contains("stopped"))
        try await until { try await self.standing(vault).contains("process \(next.processIdentifier) at ") }
        next.end(SIGINT)
        try await until { try await self.standing(vault).contains("was stopped") }
    }

    private func standing(_ vault: String) async throws -> String {
        try await Program.result(of: [builtProgram, "doctor", "vault", "--json", "--vault", vault]).output
    }

    private func until(_ condition: () async throws -> Bool) async throws {
        let limit = ContinuousClock.now + .seconds(120)
        while try await !condition() {
            try #require(ContinuousClock.now < limit, "it takes too long")
        }
    }

    @Test("A script is told that there is no lab, and registers none of its sites")
    func noLab() async throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let vault = scratch("vault.db")
        try #require(try await Program.result(of: [builtProgram, "vault", "create", "--vault", vault]).status == 0)
        let script = try scratch.put("print(lab.site('a').uri)", at: "x.lua")
        let result = try await Program.result(of: [
            builtProgram, "run", "--vault", vault, "--grant", "lab", "--lab-root", scratch("none"), script,
        ])
        #expect(result.status == 1 && result.errors.contains("There is no lab at \(scratch("none"))"))
        #expect(result.errors.contains("--lab-root"), "\(result.errors)")
    }
}
