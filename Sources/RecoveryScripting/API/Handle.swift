import LuaHost

/// Handles of objects: the type, and names that stay the same as long as the object exists.
///
/// An id is a path of names, so that handles sort as people expect and read well; names hold no `/`.
enum Handle {
    static let vault = LuaObject(type: "vault", id: "vault")

    static func host(_ name: String) -> LuaObject { LuaObject(type: "host", id: name) }
    static func server(_ name: String) -> LuaObject { LuaObject(type: "server", id: name) }
    static func policy(_ name: String) -> LuaObject { LuaObject(type: "policy", id: name) }
    static func plan(_ name: String) -> LuaObject { LuaObject(type: "plan", id: name) }
    static func cloud(_ name: String, of server: String) -> LuaObject {
        LuaObject(type: "cloud", id: "\(server)/\(name)")
    }
    static func cluster(_ name: String) -> LuaObject { LuaObject(type: "cluster", id: name) }
    static func logicalNetwork(_ name: String, of server: String) -> LuaObject {
        LuaObject(type: "logical_network", id: "\(server)/\(name)")
    }
    static func vmNetwork(_ name: String, of logical: LuaObject) -> LuaObject {
        LuaObject(type: "vm_network", id: "\(logical.id)/\(name)")
    }
    static func storageClass(_ name: String, of server: String) -> LuaObject {
        LuaObject(type: "storage_class", id: "\(server)/\(name)")
    }
    /// A protected item or relationship goes by its VM's name, of which the vault has one at most.
    static func item(_ name: String) -> LuaObject { LuaObject(type: "item", id: name) }
    static func relationship(_ name: String) -> LuaObject { LuaObject(type: "relationship", id: name) }
    /// A VM as found through a cloud or a host: there may be others of its name elsewhere.
    static func vm(_ name: String, in place: LuaObject) -> LuaObject {
        LuaObject(type: "vm", id: "\(place.type)/\(place.id)/\(name)")
    }

    /// The last name of the path.
    static func name(of object: LuaObject) -> String { String(object.id.split(separator: "/").last ?? "") }

    /// The first name of the path: the server of what belongs to one.
    static func server(of object: LuaObject) -> String { String(object.id.split(separator: "/").first ?? "") }

    /// The cloud or host through which a VM was found.
    static func place(ofVM object: LuaObject) -> LuaObject {
        let parts = object.id.split(separator: "/").map(String.init)
        return LuaObject(type: parts.first ?? "", id: parts.dropFirst().dropLast().joined(separator: "/"))
    }

    /// Refuses names that no path could hold.
    static func check(_ name: String, of kind: String) throws(LuaError) {
        let plain = name.unicodeScalars.allSatisfy { $0 != "/" && $0.properties.generalCategory != .control }
        guard plain, !name.isEmpty, name.count <= 128 else {
            throw LuaError(
                .argument, "\(ArgumentDecoder.shown(LuaValue(name))) cannot be the name of a \(kind)",
                hint: "1 to 128 characters, no '/' and no control characters")
        }
    }
}
