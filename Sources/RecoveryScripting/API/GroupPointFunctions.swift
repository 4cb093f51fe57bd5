import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// Recovery points of several VMs at one instant.
enum GroupPointFunctions {
    static let methods = [make, list]
    static let records = [record, member]

    static let make = FunctionDeclaration(
        "group_point",
        "Makes a recovery point of each VM, all of one instant: whole for all or for none. Its guests are held while their "
            + "backups begin, and go on at once. Or looks one up by name. Give it as `point` to a failover or a test: each VM finds "
            + "its own.",
        named: [
            .required("name", .text, "unique among group points"),
            .required(
                "vms", .list(.either([.text, .object("item"), .object("relationship"), .object("vm")])),
                "the VMs, running and with a first copy; they may be at different hosts"),
            .optional(
                "consistency", .choice(PointConsistency.allCases.map(\.rawValue)),
                "\"application\": frozen by the guests' agents; where one cannot, all are paused and the group point says why. "
                    + "\"crash\": paused", default: "crash"),
        ],
        lookup: .required("name", .text, "name of a group point"),
        results: [ResultDeclaration("group", .record("group_point"), "the group point")],
        errors: [
            ErrorDeclaration("unknown", "there is none of that name, or no such VM; the hint has the nearest"),
            ErrorDeclaration("invalid", "the name is taken, a VM is named twice or does not run; nothing was changed"),
            ErrorDeclaration("refused", "a rule forbids a point of one of the VMs; nothing was changed"),
            ErrorDeclaration("busy", "another operation has one of the VMs; nothing was changed"),
            ErrorDeclaration("failed", "one VM's point failed; those that came to be are ordinary points"),
        ],
        effect: .changes, ifCutOff: .unknown,
        example:
            "local group = vault:group_point { name = \"before-upgrade\", vms = { item }, consistency = \"application\" }",
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            if call.arguments.isLookup {
                return [value(try await session.find(GroupPoint.self, named: name, as: "group point"))]
            }
            var members: [Relationship] = []
            for vm in call.arguments["vms"]?.table?.array ?? [] {
                if let object = vm.object {
                    members.append(try await session.relationship(of: object))
                } else if let text = vm.text {
                    members.append(try await session.find(Relationship.self, named: text, as: "replicated VM"))
                }
            }
            let consistency = call.arguments.optionalText("consistency").flatMap(PointConsistency.init(rawValue:))
            let ids = members.map(\.id)
            let made = try await session.operations.wait(for: "group point \(name)") {
                try await session.engine.makeGroupPoint(
                    named: name, of: ids, consistency: consistency ?? .crash, run: session.run)
            }
            return [value(made)]
        })

    static let list = FunctionDeclaration(
        "group_points", "Lists the group points that are whole, by name.",
        results: [ResultDeclaration("groups", .list(.record("group_point")), "the group points")], effect: .reads,
        example: "for _, group in ipairs(vault:group_points()) do print(group.name, group.at) end",
        .waiting { call in
            let groups = try await call.session.engine.vault.read { vault in
                try vault.objects(GroupPoint.self).map(\.value).filter { $0.state == .whole }
            }
            return [.list(groups.map(value))]
        })

    static let record = RecordDeclaration(
        "group_point", "Recovery points of several VMs at one instant.",
        fields: [
            ResultDeclaration("name", .text, "its name"),
            ResultDeclaration(
                "at", .number, "the instant that all its points show", unit: .epochSeconds, optional: true),
            ResultDeclaration(
                "consistency", .choice(PointConsistency.allCases.map(\.rawValue)),
                "\"application\" when the guests' agents had frozen their file systems"),
            ResultDeclaration(
                "reason", .text, "why it is crash-consistent where it was to be application-consistent", optional: true),
            ResultDeclaration(
                "held", .number, "how long the guests were held, the first to the last", unit: .seconds, optional: true),
            ResultDeclaration(
                "spread", .number, "within what time all the backups began, while nobody wrote", unit: .seconds,
                optional: true),
            ResultDeclaration("members", .list(.record("group_member")), "the VMs with their points"),
        ])

    static let member = RecordDeclaration(
        "group_member", "One VM's part in a group point.",
        fields: [
            ResultDeclaration("vm", .text, "name of the VM"),
            ResultDeclaration("point", .integer, "number of its recovery point", unit: .ordinal, optional: true),
        ])

    static func value(_ group: GroupPoint) -> LuaValue {
        var table = LuaTable()
        table["name"] = LuaValue(group.name)
        table["at"] = group.at.map(Records.seconds) ?? .nil
        table["consistency"] = LuaValue(group.consistency.rawValue)
        table["reason"] = LuaValue(group.crashReason)
        table["held"] = group.heldSeconds.map { .number($0) } ?? .nil
        table["spread"] = group.spreadSeconds.map { .number($0) } ?? .nil
        table["members"] = .list(
            group.members.map { member in
                .table(
                    LuaTable([
                        "vm": LuaValue(member.vm), "point": member.number.map { LuaValue($0) } ?? .nil,
                    ]))
            })
        return .table(table)
    }
}
