import LuaHost
import RecoveryEngine

/// `check`: whether everything that protection and recovery of an object need is there.
enum CheckMethod {
    static let finding = RecordDeclaration(
        "finding", "How one check of an object came out; docs/checks.md lists all checks.",
        fields: [
            ResultDeclaration("id", .text, "which check, such as clock-skew"),
            ResultDeclaration("object", .text, "name of what was looked at"),
            ResultDeclaration(
                "about", .text, "which of several things of it: a disk, a network, a peer", optional: true),
            ResultDeclaration("verdict", .choice(CheckVerdict.allCases.map(\.rawValue)), "how it came out"),
            ResultDeclaration("sentence", .text, "what should hold"),
            ResultDeclaration("cause", .text, "what was found, or why nobody looked"),
            ResultDeclaration("fix", .text, "what to do, where it warns or fails", optional: true),
        ])

    static let server = declare(
        "Checks this server's clouds, its own VM, and the pairs and networks of its clouds.",
        example: "for _, each in ipairs(vmm:check()) do print(each.verdict, each.id, each.cause) end"
    ) { call in
        try await inspection(call).server(call.session.server(call.receiver))
    }

    static let host = declare(
        "Checks this host: hypervisor, agent, clock, store, scratch space, fence, and the way to its peers.",
        example: "for _, each in ipairs(vault:host(\"a1\"):check()) do print(each.verdict, each.id, each.cause) end"
    ) { call in
        try await inspection(call).host(call.session.host(call.receiver))
    }

    static let vm = declare(
        "Checks this VM: disks, firmware, guest agent, networks, and the room for it at its target.",
        example: "for _, each in ipairs(gold:vm(\"orders\"):check()) do print(each.verdict, each.id, each.cause) end"
    ) { call in
        let hosts = try await call.session.hostIDs(of: Handle.place(ofVM: call.receiver))
        return try await inspection(call).vm(named: Handle.name(of: call.receiver), on: hosts)
    }

    private static func declare(
        _ doc: String, example: String, _ look: @escaping @Sendable (Call) async throws -> [CheckFinding]
    ) -> FunctionDeclaration {
        FunctionDeclaration(
            "check", doc + " Changes nothing; what does not answer is a finding, not an error.",
            results: [ResultDeclaration("findings", .list(.record("finding")), "one for each thing looked at")],
            effect: .reads, example: example, .waiting { call in [.list(try await look(call).map(value))] })
    }

    private static func inspection(_ call: Call) -> SiteInspection { SiteInspection(engine: call.session.engine) }

    private static func value(_ finding: CheckFinding) -> LuaValue {
        var table = LuaTable([
            "id": LuaValue(finding.check), "object": LuaValue(finding.object),
            "verdict": LuaValue(finding.verdict.rawValue), "sentence": LuaValue(finding.sentence),
            "cause": LuaValue(finding.cause),
        ])
        table["about"] = finding.about.map { LuaValue($0) } ?? .nil
        table["fix"] = finding.fix.map { LuaValue($0) } ?? .nil
        return .table(table)
    }
}
