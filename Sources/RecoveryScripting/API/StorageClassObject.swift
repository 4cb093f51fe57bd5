import LuaHost
import RecoveryEngine
import SiteModel
import VaultStore

/// `storage_class`: a named class of storage.
enum StorageClassObject {
    static let type = TypeDeclaration(
        "storage_class",
        "A named class of storage on one server. Its folders tell the class of the disks below them; replicas of a class that "
            + "is mapped go to a host whose store is of the other class, if one is.",
        fields: [name, locations, mappedTo], methods: [map, unmap, remove])

    static let location = RecordDeclaration(
        "storage_location", "A folder at a host.",
        fields: [
            ResultDeclaration("host", .object("host"), "the host"),
            ResultDeclaration("path", .text, "absolute path of the folder"),
        ])

    static let make = FunctionDeclaration(
        "storage_class", "Makes a storage class or changes it, or looks one up by name.",
        named: [
            .required("name", .text, "unique on its server"),
            .required("locations", .list(.record("storage_location")), "the folders that belong to it"),
        ],
        lookup: .required("name", .text, "name of a storage class of this server"),
        results: [ResultDeclaration("class", .object("storage_class"), "the storage class")],
        errors: [
            ErrorDeclaration("unknown", "there is none of that name; the hint has the nearest"),
            ErrorDeclaration("invalid", "a path is not absolute, or a folder stands twice"),
        ],
        effect: .changes,
        example: """
            local ssd = vmm:storage_class {
              name = "ssd", locations = { { host = vault:host("b1"), path = "/srv/points" } },
            }
            """,
        .waiting { call in
            let (session, name) = (call.session, call.arguments.text("name"))
            let server = try await session.server(call.receiver)
            if call.arguments.isLookup {
                let found = try await session.storageClass(name, of: server)
                return [.object(Handle.storageClass(found.name, of: server.name))]
            }
            try Handle.check(name, of: "storage class")
            let fields: [Parameter] = location.fields.map { .required($0.name, $0.type, $0.doc) }
            var locations: [StorageLocation] = []
            for table in try call.tables("locations", fields) ?? [] {
                let host = try await session.host(table.object("host")).id
                locations.append(StorageLocation(host: host, path: table.text("path")))
            }
            let made = try await session.engine.ensureStorageClass(name: name, server: server, locations: locations)
            return [.object(Handle.storageClass(made.name, of: server.name))]
        })

    static let list = FunctionDeclaration(
        "storage_classes", "Lists the storage classes of this server, by name.",
        results: [ResultDeclaration("classes", .list(.object("storage_class")), "the storage classes")],
        effect: .reads, example: "for _, each in ipairs(vmm:storage_classes()) do print(each.name) end",
        .waiting { call in
            let server = try await call.session.server(call.receiver)
            let names = try await call.session.engine.vault.read {
                try $0.objects(StorageClass.self, parent: server.id).map(\.value.name)
            }
            return [.list(names.map { .object(Handle.storageClass($0, of: server.name)) })]
        })

    static let name = FieldDeclaration(
        "name", .text, "its name", .immediate { call in [LuaValue(Handle.name(of: call.receiver))] })

    static let locations = FieldDeclaration(
        "locations", .list(.record("storage_location")), "the folders that belong to it",
        .waiting { call in
            var locations: [LuaValue] = []
            for each in try await call.session.storageClass(call.receiver).locations {
                let host = try await call.session.hostHandle(id: each.host)
                locations.append(.table(LuaTable(["host": host, "path": LuaValue(each.path)])))
            }
            return [.list(locations)]
        })

    static let mappedTo = FieldDeclaration(
        "mapped_to", .object("storage_class"), "the class that replicas of its disks are kept in", optional: true,
        .waiting { call in
            let own = try await call.session.storageClass(call.receiver)
            let names = try await call.session.engine.vault.read { vault -> (String, String)? in
                guard let mapping = try vault.objects(StorageMapping.self, parent: own.id).first?.value,
                    let target = try vault.object(StorageClass.self, id: mapping.target)?.value,
                    let server = try vault.object(Server.self, id: target.server)?.value
                else { return nil }
                return (target.name, server.name)
            }
            return [names.map { .object(Handle.storageClass($0.0, of: $0.1)) } ?? .nil]
        })

    static let map = FunctionDeclaration(
        "map", "Says in which class replicas of this class's disks are kept: of the same server or another.",
        positional: [.required("to", .object("storage_class"), "the class at the target")],
        errors: [ErrorDeclaration("unknown", "there is no such class")], effect: .changes,
        example: """
            local ssd = vmm:storage_class { name = "ssd", locations = { { host = vault:host("b1"), path = "/srv/points" } } }
            local disks = vmm:storage_class { name = "disks", locations = { { host = vault:host("a1"), path = "/srv/vms" } } }
            disks:map(ssd)
            """,
        .waiting { call in
            let session = call.session
            try await session.engine.ensureStorageMapping(
                from: session.storageClass(call.receiver), to: session.storageClass(call.arguments.object("to")))
            return []
        })

    static let unmap = FunctionDeclaration(
        "unmap", "Removes the mapping of this class: replicas go to the hosts' own order.",
        errors: [ErrorDeclaration("unknown", "it is not mapped")], effect: .changes, ifCutOff: .removal,
        example: """
            local ssd = vmm:storage_class { name = "ssd", locations = { { host = vault:host("b1"), path = "/srv/points" } } }
            ssd:map(ssd)
            ssd:unmap()
            """,
        .waiting { call in
            try await call.session.engine.removeStorageMapping(of: call.session.storageClass(call.receiver))
            return []
        })

    static let remove = FunctionDeclaration(
        "remove", "Removes this storage class; the folders stay.",
        errors: [ErrorDeclaration("refused", "rule still-in-use: a mapping names it")], effect: .changes,
        ifCutOff: .removal,
        example: """
            local ssd = vmm:storage_class { name = "ssd", locations = { { host = vault:host("b1"), path = "/srv/points" } } }
            ssd:remove()
            """,
        .waiting { call in
            try await call.session.engine.removeStorageClass(call.session.storageClass(call.receiver))
            return []
        })
}
