import Hypervisors
import LuaHost
import RecoveryEngine
import SiteModel

/// Addresses of a VM's NICs away from where it was set up.
enum NICMethods {
    static let nic = RecordDeclaration(
        "nic", "A NIC of a replicated VM, with what becomes of its address elsewhere.",
        fields: [
            ResultDeclaration("mac", .text, "its hardware address"),
            ResultDeclaration("network", .text, "the network that it is connected to now", optional: true),
            ResultDeclaration("failover", .record("addressing"), "after a failover", optional: true),
            ResultDeclaration("home", .record("addressing"), "back at home", optional: true),
            ResultDeclaration("test", .record("addressing"), "in a test", optional: true),
        ])

    static let addressing = RecordDeclaration(
        "addressing", "Where a NIC's address comes from.",
        fields: [
            ResultDeclaration("mode", .choice(AddressMode.allCases.map(\.rawValue)), "keep: the guest is told nothing"),
            ResultDeclaration(
                "address", .text, "static: the address; pool: the one wanted first", optional: true),
            ResultDeclaration(
                "prefix", .integer, "length of the network's prefix, 1 to 30", unit: .ordinal, optional: true),
            ResultDeclaration("gateway", .text, "the way out", optional: true),
            ResultDeclaration("dns", .list(.text), "name servers, at most 8", optional: true),
            ResultDeclaration("pool", .text, "first and last address, as in \"10.0.8.20-10.0.8.60\"", optional: true),
        ])

    static func set(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "set_nic",
            "Says which address one of the VM's NICs takes after a failover, back at home, and in a test. The guest is "
                + "told by NoCloud data in a CD drive, which cloud-init reads; a guest without cloud-init keeps its address. "
                + "What is left out stays as it is; `false` takes it away.",
            named: [
                .optional("mac", .text, "the NIC's hardware address", otherwise: "index is needed"),
                .optional(
                    "index", .integer, "the NIC's place in the definition, from 1", otherwise: "mac is needed",
                    unit: .ordinal, range: 1...64),
                place("failover", "after a failover"), place("home", "back at home after a failback"),
                place("test", "in the network of a test; without it, as after a failover where that address is free"),
            ],
            results: [ResultDeclaration("nic", .record("nic"), "the NIC's settings")],
            errors: [
                ErrorDeclaration("invalid", "settings that cannot be used; the message says which and why"),
                ErrorDeclaration("unknown", "the VM has no such NIC; the hint lists its NICs"),
            ],
            effect: .changes,
            example: """
                \(type):set_nic { index = 1,
                  failover = { mode = "static", address = "10.0.8.21", prefix = 24, gateway = "10.0.8.1" },
                  test = { mode = "pool", pool = "10.9.8.20-10.9.8.60", prefix = 24 } }
                """,
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                let settings = try await call.session.engine.setNIC(
                    try name(call), of: relationship.id, failover: try change(call, "failover"),
                    home: try change(call, "home"), test: try change(call, "test"))
                return [value(settings, network: nil)]
            })
    }

    static func list(_ type: String) -> FunctionDeclaration {
        FunctionDeclaration(
            "nics", "Lists the VM's NICs with what becomes of their addresses elsewhere.",
            results: [ResultDeclaration("nics", .list(.record("nic")), "the NICs, in the definition's order")],
            effect: .reads, example: "for _, nic in ipairs(\(type):nics()) do print(nic.mac, nic.network) end",
            .waiting { call in
                let relationship = try await call.session.relationship(of: call.receiver)
                var settings = relationship.nicSettings ?? []
                var rows: [LuaValue] = []
                for nic in try await call.session.engine.nics(of: relationship) {
                    let mac = nic.mac.lowercased()
                    rows.append(value(settings.first { $0.mac == mac } ?? NICSettings(mac: mac), network: nic.network))
                    settings.removeAll { $0.mac == mac }
                }
                // What was said of NICs while the VM's owner does not answer, or of NICs that are gone.
                return [.list(rows + settings.map { value($0, network: nil) })]
            })
    }

    private static func place(_ name: String, _ doc: String) -> Parameter {
        .optional(name, .either([.record("addressing"), .boolean]), doc, otherwise: "as it is")
    }

    // MARK: Reading

    private static func name(_ call: Call) throws(LuaError) -> RecoveryEngine.NICName {
        switch (call.arguments.optionalText("mac"), call.arguments.optionalInteger("index")) {
        case (let mac?, nil): return .mac(mac)
        case (nil, let index?): return .index(index)
        default:
            throw LuaError(
                .argument, "\(call.name): exactly one of 'mac' and 'index' names the NIC",
                hint: "nics() lists them")
        }
    }

    private static func change(_ call: Call, _ name: String) throws(LuaError) -> RecoveryEngine.NICChange {
        switch call.arguments[name] {
        case .table(let table)?: return .set(try addressing(table, "\(call.name): '\(name)'"))
        case .boolean(false)?: return .remove
        case .boolean?:
            throw LuaError(
                .argument, "\(call.name): '\(name)' is a table, or false to take it away",
                hint: "as in { mode = \"dhcp\" }")
        default: return .leave
        }
    }

    private static func addressing(_ table: LuaTable, _ where: String) throws(LuaError) -> NICAddressing {
        let known = addressing.fields.map(\.name)
        for field in table.fields {
            guard let key = field.key.text, known.contains(key) else {
                let given = field.key.text ?? "a key that is no text"
                let near = Nearest.suggestion(for: given, among: known)
                throw LuaError(
                    .argument, "\(`where`) has no field '\(given)'",
                    hint: near.map { "did you mean '\($0)'?" } ?? "it has: \(known.joined(separator: ", "))")
            }
        }
        let words = AddressMode.allCases.map(\.rawValue)
        guard let mode = table["mode"].text.flatMap(AddressMode.init(rawValue:)) else {
            throw LuaError(
                .argument, "\(`where`).mode is missing or unknown", hint: "one of: \(words.joined(separator: ", "))")
        }
        var dns: [IPv4Address] = []
        if let list = table["dns"].table {
            for (place, entry) in list.array.enumerated() {
                guard let address = entry.text.flatMap({ IPv4Address($0) }) else {
                    throw LuaError(.argument, "\(`where`).dns[\(place + 1)] is no IPv4 address", hint: "as in 10.0.8.2")
                }
                dns.append(address)
            }
        } else if table["dns"] != .nil {
            throw LuaError(.argument, "\(`where`).dns must be a list of addresses", hint: "as in { \"10.0.8.2\" }")
        }
        var pool: AddressPool?
        if table["pool"] != .nil {
            pool = table["pool"].text.flatMap { AddressPool(range: $0) }
            guard pool != nil else {
                throw LuaError(
                    .argument, "\(`where`).pool is no range of IPv4 addresses", hint: "as in \"10.0.8.20-10.0.8.60\"")
            }
        }
        var prefix: Int?
        if table["prefix"] != .nil {
            guard let number = table["prefix"].integer else {
                throw LuaError(.argument, "\(`where`).prefix must be an integer", hint: "1 to 30")
            }
            prefix = Int(clamping: number)
        }
        return NICAddressing(
            mode, address: try address(table, "address", `where`), prefix: prefix,
            gateway: try address(table, "gateway", `where`), dns: dns, pool: pool)
    }

    private static func address(
        _ table: LuaTable, _ field: String, _ where: String
    ) throws(LuaError) -> IPv4Address? {
        guard table[field] != .nil else { return nil }
        guard let address = table[field].text.flatMap({ IPv4Address($0) }) else {
            throw LuaError(.argument, "\(`where`).\(field) is no IPv4 address", hint: "as in \"10.0.8.21\"")
        }
        return address
    }

    // MARK: Showing

    private static func value(_ settings: NICSettings, network: String?) -> LuaValue {
        var table = LuaTable(["mac": LuaValue(settings.mac)])
        table["network"] = LuaValue(network)
        table["failover"] = settings.failover.map(value) ?? .nil
        table["home"] = settings.home.map(value) ?? .nil
        table["test"] = settings.test.map(value) ?? .nil
        return .table(table)
    }

    private static func value(_ addressing: NICAddressing) -> LuaValue {
        var table = LuaTable(["mode": LuaValue(addressing.mode.rawValue)])
        table["address"] = LuaValue(addressing.address?.description)
        table["prefix"] = addressing.prefix.map { LuaValue($0) } ?? .nil
        table["gateway"] = LuaValue(addressing.gateway?.description)
        if !addressing.dns.isEmpty { table["dns"] = .list(addressing.dns.map { LuaValue($0.description) }) }
        table["pool"] = addressing.pool.map { LuaValue("\($0.first)-\($0.last)") } ?? .nil
        return .table(table)
    }
}
