import SiteModel
import Testing
import VaultStore

@Suite("Vault contract: journals of runs")
struct JournalTests {
    private func row(_ number: Int, _ body: String = "b") -> JournalRow {
        JournalRow(number: number, body: body, chain: "c\(number)")
    }

    @Test("Rows come back in order, and each run has its own", arguments: VaultKind.allCases)
    func order(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { writer in
            for number in 1...12 { try writer.append(row(number, "body \(number)\nü"), toJournalOf: "r1") }
            try writer.append(row(1), toJournalOf: "r2")
        }
        try await vault.read { reader throws in
            #expect(try reader.journal(of: "r1", after: 0, limit: 100).map(\.number) == Array(1...12))
            #expect(try reader.journal(of: "r1", after: 10, limit: 1) == [row(11, "body 11\nü")])
            #expect(try reader.lastJournalRow(of: "r1")?.number == 12)
            #expect(try reader.lastJournalRow(of: "r2") == row(1))
            #expect(try reader.lastJournalRow(of: "r3") == nil)
        }
    }

    @Test("A row that is not the next one is refused, and nothing is written", arguments: VaultKind.allCases)
    func gap(kind: VaultKind) async throws {
        let vault = try Fixture(kind)
        try await vault.write { try $0.append(row(1), toJournalOf: "r") }
        for number in [0, 1, 3] {
            await #expect {
                try await vault.write { try $0.append(row(number), toJournalOf: "r") }
            } throws: { ($0 as? VaultError)?.code == .stale }
        }
        #expect(try await vault.read { try $0.journal(of: "r", after: 0, limit: 9).count } == 1)
    }

    @Test("The end of a journal can be cut off, and a cut that fails is undone", arguments: VaultKind.allCases)
    func cut(kind: VaultKind) async throws {
        struct Stop: Error {}
        let vault = try Fixture(kind)
        try await vault.write { writer in
            for number in 1...5 { try writer.append(row(number), toJournalOf: "r") }
        }
        await #expect(throws: Stop.self) {
            try await vault.write { writer in
                try writer.removeJournal(of: "r", after: 2)
                try writer.append(row(3, "other"), toJournalOf: "r")
                throw Stop()
            }
        }
        #expect(try await vault.read { try $0.journal(of: "r", after: 0, limit: 9) } == (1...5).map { row($0) })
        try await vault.write { try $0.removeJournal(of: "r", after: 2) }
        #expect(try await vault.read { try $0.lastJournalRow(of: "r")?.number } == 2)
        try await vault.write { try $0.removeJournal(of: "r", after: 0) }
        #expect(try await vault.read { try $0.journal(of: "r", after: 0, limit: 9).isEmpty })
    }
}
