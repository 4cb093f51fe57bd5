internal import Foundation

/// Finds modules as files: `require "a.b"` is `a/b.lua` or `a/b/init.lua` below one of the folders, the first one first.
///
/// A link that leads out of all the folders is not followed, and a C library is refused.
public struct FileModuleResolver: ModuleResolver {
    /// A folder with modules.
    public struct Folder: Hashable, Sendable {
        /// The path; modules are looked for below it, never above.
        public let path: String
        /// Whether its modules were written for any Lua; see ``ModuleSource/isForeign``.
        public let isForeign: Bool

        /// Makes a folder.
        public init(_ path: String, isForeign: Bool = false) {
            self.path = path
            self.isForeign = isForeign
        }
    }

    /// The folders in the order of search.
    public let searched: [Folder]
    private static let sizeLimit = 16 << 20

    /// Makes a resolver over folders, in the order of search.
    public init(searching folders: [Folder]) { searched = folders }

    /// Makes a resolver over folders such as the script's own, and then folders of libraries written for any Lua.
    public init(folders: [String], libraries: [String] = []) {
        self.init(searching: folders.map { Folder($0) } + libraries.map { Folder($0, isForeign: true) })
    }

    /// The module's file.
    ///
    /// - Throws: ``LuaError`` of kind `undefined` when no folder has it, which says where it was looked for, or when what is
    ///   there is a C library or leads out of the folders; of kind `size` when it is longer than 16 MiB.
    public func module(named name: String) throws -> ModuleSource? {
        let path = name.replacing(".", with: "/")
        let candidates = ["\(path).lua", "\(path)/init.lua"]
        for folder in searched {
            for candidate in candidates {
                guard let data = try text(candidate, in: folder.path, for: name) else { continue }
                return ModuleSource(
                    chunk: "\(folder.path)/\(candidate)", source: Array(data), isForeign: folder.isForeign)
            }
        }
        for folder in searched where FileManager.default.fileExists(atPath: "\(folder.path)/\(path).so") {
            throw LuaError(
                .undefined, "module '\(name)' is a C library (\(folder.path)/\(path).so), which scripts cannot load",
                hint: "use a library written in Lua, or have the host offer what it does as a module")
        }
        guard !searched.isEmpty else { return nil }
        let places = searched.map(\.path).joined(separator: ", ")
        throw LuaError(
            .undefined, "require: no module '\(name)'",
            hint: "neither \(candidates.joined(separator: " nor ")) is in: \(places)")
    }

    private func text(_ candidate: String, in folder: String, for name: String) throws -> Data? {
        let real = URL(fileURLWithPath: folder).appendingPathComponent(candidate).resolvingSymlinksInPath()
        guard FileManager.default.fileExists(atPath: real.path) else { return nil }
        let roots = searched.map { URL(fileURLWithPath: $0.path).resolvingSymlinksInPath().path }
        guard roots.contains(where: { real.path.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/") }) else {
            throw LuaError(
                .undefined, "module '\(name)' is a link that leads out of \(folder)",
                hint: "copy the file into the folder")
        }
        let attributes = try FileManager.default.attributesOfItem(atPath: real.path)
        guard attributes[.type] as? FileAttributeType == .typeRegular else { return nil }
        guard let size = attributes[.size] as? NSNumber, size.intValue <= Self.sizeLimit else {
            throw LuaError(.size, "module '\(name)' is larger than \(Self.sizeLimit) bytes")
        }
        return try Data(contentsOf: real)
    }
}
