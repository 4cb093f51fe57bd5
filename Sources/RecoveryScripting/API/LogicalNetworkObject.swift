import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `logical_network`: a network as a site is planned with.
enum LogicalNetworkObject {
    static let type = TypeDeclaration(
        "logical_network",
        "A network as a site is planned with: VM networks are linked to it, clouds associated with it.",
        fields: [name, isolation, clouds], methods: [VMNetworkObject.make, VMNetworkObject.list, remove])

    static let make = FunctionDeclaration(
        "logical_network", "Makes a logical network or changes it, or looks one up by name.",
        named: [
            .required("name", .text, "unique on its server"),
            .optional(
                "isolation", .choice(NetworkIsolation.allCases.map(\.rawValue)),
                "how its VM networks are kept apart", otherwise: "stays as it is; \"none\" for a new one"),
            .optional(
                "clouds", .list(.object("cloud")), "the clouds whose hosts carry it",
                otherwise: "stay as they are; none for a new one"),
        ],
        lookup: .required("name", .text, "name of a logical network of this server"),
        results: [ResultDeclaration("network", .object("logical_network"), "the logical network")],
        errors: [
            ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest"),
            ErrorDeclaration("invalid", "a cloud is another server's, or a subnet does not fit the isolation"),
        ],
        effect: .changes,
        example: "local lan = vmm:logical_network { name = \"lan\", isolation = \"vlan\", clouds = { silver } }",
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            let server = try await session.server(call.receiver)
            if call.arguments.isLookup {
                let found = try await session.logicalNetwork(name, of: server)
                return [.object(Handle.logicalNetwork(found.name, of: server.name))]
            }
            try Handle.check(name, of: "logical network")
            var clouds: [Cloud]?
            if let given = call.arguments.objects("clouds") {
                clouds = []
                for cloud in given { clouds?.append(try await session.cloud(cloud)) }
            }
            let made = try await session.engine.ensureLogicalNetwork(
                name: name, server: server,
                isolation: call.arguments.optionalText("isolation").flatMap(NetworkIsolation.init(rawValue:)),
                clouds: clouds)
            return [.object(Handle.logicalNetwork(made.name, of: server.name))]
        })

    static let list = FunctionDeclaration(
        "logical_networks", "Lists the logical networks of this server, by name.",
        results: [ResultDeclaration("networks", .list(.object("logical_network")), "the logical networks")],
        effect: .reads, example: "for _, each in ipairs(vmm:logical_networks()) do print(each.name) end",
        .waiting { call in
            let server = try await call.session.server(call.receiver)
            let names = try await call.session.engine.vault.read {
                try $0.objects(LogicalNetwork.self, parent: server.id).map(\.value.name)
            }
            return [.list(names.map { .object(Handle.logicalNetwork($0, of: server.name)) })]
        })

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(Handle.name(of: call.receiver))] })

    static let isolation = FieldDeclaration(
        "isolation", .choice(NetworkIsolation.allCases.map(\.rawValue)), "how its VM networks are kept apart",
        .waiting { call in [LuaValue(try await call.session.logicalNetwork(call.receiver).isolation.rawValue)] })

    static let clouds = FieldDeclaration(
        "clouds", .list(.object("cloud")), "the clouds whose hosts carry it",
        .waiting { call in
            var clouds: [LuaValue] = []
            for id in try await call.session.logicalNetwork(call.receiver).clouds {
                clouds.append(try await call.session.cloudHandle(id: id))
            }
            return [.list(clouds)]
        })

    static let remove = FunctionDeclaration(
        "remove", "Removes this logical network.",
        errors: [ErrorDeclaration("refused", "rule still-in-use: VM networks are linked to it")], effect: .changes,
        ifCutOff: .removal,
        example: "vmm:logical_network { name = \"lan\" }:remove()",
        .waiting { call in
            try await call.session.engine.removeLogicalNetwork(call.session.logicalNetwork(call.receiver))
            return []
        })
}

extension ScriptContext {
    /// The logical network of a handle, or the one that a VM network's handle is below.
    func logicalNetwork(_ object: LuaObject) async throws -> LogicalNetwork {
        let parts = object.id.split(separator: "/").map(String.init)
        return try await logicalNetwork(parts.count > 1 ? parts[1] : "", of: server(owning: object))
    }
}
