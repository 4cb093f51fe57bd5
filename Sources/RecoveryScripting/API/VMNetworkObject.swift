import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `vm_network`: a network that VMs are connected to.
enum VMNetworkObject {
    static let type = TypeDeclaration(
        "vm_network", "A network that VMs are connected to: at the hosts, the libvirt network of the same name.",
        fields: [name, logicalNetwork, subnets], methods: [remove])

    static let make = FunctionDeclaration(
        "vm_network", "Links a VM network to this logical network or changes it, or looks one up by name.",
        named: [
            .required("name", .text, "the libvirt network's name; unique on the server"),
            .optional(
                "subnets", .list(.record("subnet")),
                "its subnets: where none has the name wanted, the first is taken",
                otherwise: "stay as they are; none for a new one"),
        ],
        lookup: .required("name", .text, "name of a VM network of this logical network"),
        results: [ResultDeclaration("network", .object("vm_network"), "the VM network")],
        errors: [
            ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest"),
            ErrorDeclaration("invalid", "a subnet is not what its isolation, its block or another subnet allows"),
        ],
        effect: .changes,
        example: """
            local lan = vmm:logical_network { name = "lan", isolation = "vlan", clouds = { silver } }
            lan:vm_network {
              name = "silver-net",
              subnets = { { name = "web", block = "10.1.0.0/24", gateway = "10.1.0.1", pool = "10.1.0.10-10.1.0.99", vlan = 7 } },
            }
            """,
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            let logical = try await session.logicalNetwork(call.receiver)
            if call.arguments.isLookup {
                let found = try await session.vmNetwork(Handle.vmNetwork(name, of: call.receiver))
                return [.object(Handle.vmNetwork(found.name, of: call.receiver))]
            }
            try Handle.check(name, of: "VM network")
            let made = try await session.engine.ensureVMNetwork(
                name: name, logical: logical, subnets: try SubnetTable.read(call))
            return [.object(Handle.vmNetwork(made.name, of: call.receiver))]
        })

    static let list = FunctionDeclaration(
        "vm_networks", "Lists the VM networks that are linked to this logical network, by name.",
        results: [ResultDeclaration("networks", .list(.object("vm_network")), "the VM networks")], effect: .reads,
        example: "for _, lan in ipairs(vmm:logical_networks()) do print(lan, #lan:vm_networks()) end",
        .waiting { call in
            let logical = try await call.session.logicalNetwork(call.receiver)
            let names = try await call.session.engine.vault.read {
                try $0.objects(VMNetwork.self, parent: logical.id).map(\.value.name)
            }
            return [.list(names.map { .object(Handle.vmNetwork($0, of: call.receiver)) })]
        })

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(Handle.name(of: call.receiver))] })

    static let logicalNetwork = FieldDeclaration(
        "logical_network", .object("logical_network"), "the logical network that it is linked to",
        .waiting { call in
            let logical = try await call.session.logicalNetwork(call.receiver)
            return [.object(Handle.logicalNetwork(logical.name, of: Handle.server(of: call.receiver)))]
        })

    static let subnets = FieldDeclaration(
        "subnets", .list(.record("subnet")), "its subnets",
        .waiting { call in
            [.list(try await call.session.vmNetwork(call.receiver).subnets.map(SubnetTable.value))]
        })

    static let remove = FunctionDeclaration(
        "remove", "Removes this VM network from the vault; the hosts' networks stay.",
        errors: [ErrorDeclaration("refused", "rule still-in-use: a mapping names it")], effect: .changes,
        ifCutOff: .removal,
        example: "vmm:logical_network { name = \"lan\" }:vm_network { name = \"spare-net\" }:remove()",
        .waiting { call in
            let server = try await call.session.server(owning: call.receiver)
            try await call.session.engine.removeVMNetwork(call.session.vmNetwork(call.receiver), of: server)
            return []
        })
}

extension ScriptContext {
    func vmNetwork(_ object: LuaObject) async throws -> VMNetwork {
        let logical = try await logicalNetwork(object)
        return try await find(
            VMNetwork.self, named: Handle.name(of: object), parent: logical.id, as: "VM network",
            in: "logical network \(logical.name)")
    }
}

/// A subnet as a plain table.
enum SubnetTable {
    static let record = RecordDeclaration(
        "subnet", "A subnet of a VM network.",
        fields: [
            ResultDeclaration("name", .text, "unique in its network"),
            ResultDeclaration("block", .text, "its addresses, such as \"10.1.0.0/24\""),
            ResultDeclaration("gateway", .text, "address of the gateway", optional: true),
            ResultDeclaration("dns", .list(.text), "addresses of name servers", optional: true),
            ResultDeclaration(
                "vlan", .integer, "VLAN, 1 to 4094: with isolation = \"vlan\"", unit: .ordinal, optional: true),
            ResultDeclaration(
                "pool", .text, "the addresses that are given out, such as \"10.1.0.10-10.1.0.99\"", optional: true),
            ResultDeclaration("reserved", .list(.text), "addresses of the pool that are kept back", optional: true),
        ])

    private static let fields: [Parameter] = record.fields.map { field in
        field.isOptional
            ? .optional(field.name, field.type, field.doc, otherwise: "none", unit: field.unit)
            : .required(field.name, field.type, field.doc)
    }

    /// The subnets of a call; nil when they were left out.
    static func read(_ call: Call) throws(LuaError) -> [Subnet]? {
        guard let tables = try call.tables("subnets", fields) else { return nil }
        var subnets: [Subnet] = []
        for table in tables { subnets.append(try subnet(table, call)) }
        return subnets
    }

    private static func subnet(_ table: Arguments, _ call: Call) throws(LuaError) -> Subnet {
        func address(_ field: String, _ text: String) throws(LuaError) -> IPv4Address {
            if let address = IPv4Address(text) { return address }
            throw call.wrong("subnets", field, text, "an IPv4 address such as \"10.1.0.1\"")
        }
        func addresses(_ field: String) throws(LuaError) -> [IPv4Address] {
            var found: [IPv4Address] = []
            for text in table.texts(field) ?? [] { found.append(try address(field, text)) }
            return found
        }
        guard let block = IPv4Block(table.text("block")) else {
            throw call.wrong(
                "subnets", "block", table.text("block"), "a block of IPv4 addresses such as \"10.1.0.0/24\"")
        }
        var subnet = Subnet(name: table.text("name"), block: block)
        if let text = table.optionalText("gateway") { subnet.gateway = try address("gateway", text) }
        subnet.dns = try addresses("dns")
        subnet.vlan = table.optionalInteger("vlan")
        let reserved = try addresses("reserved")
        guard let text = table.optionalText("pool") else {
            guard reserved.isEmpty else {
                throw call.wrong("subnets", "reserved", reserved[0].description, "left out where there is no pool")
            }
            return subnet
        }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { IPv4Address(String($0)) }
        guard ends.count == 2, let first = ends[0], let last = ends[1] else {
            throw call.wrong("subnets", "pool", text, "a range of addresses such as \"10.1.0.10-10.1.0.99\"")
        }
        subnet.pool = AddressPool(first: first, last: last, reserved: reserved)
        return subnet
    }

    static func value(_ subnet: Subnet) -> LuaValue {
        var table = LuaTable()
        table["name"] = LuaValue(subnet.name)
        table["block"] = LuaValue(subnet.block.description)
        table["gateway"] = LuaValue(subnet.gateway?.description)
        if !subnet.dns.isEmpty { table["dns"] = .list(subnet.dns.map { LuaValue($0.description) }) }
        table["vlan"] = subnet.vlan.map { LuaValue($0) } ?? .nil
        if let pool = subnet.pool {
            table["pool"] = LuaValue("\(pool.first)-\(pool.last)")
            if !pool.reserved.isEmpty { table["reserved"] = .list(pool.reserved.map { LuaValue($0.description) }) }
        }
        return .table(table)
    }
}
