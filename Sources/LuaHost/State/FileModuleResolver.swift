internal import Foundation

/// Finds modules as files: `require "a.b"` is `a/b.lua` or `a/b/init.lua` below one of the folders, the first one first.
///
/// A link that leads out of all the folders is not followed, and a C library is refused.
public struct FileModuleResolver: ModuleResolver {
    /// The folders, such as the script's own.
    public let folders: [String]
    /// Folders of libraries written for any Lua, looked through after the others; see ``ModuleSource/isForeign``.
    public let libraries: [String]
    private static let sizeLimit = 16 << 20

    /// Makes a resolver over folders.
    public init(folders: [String], libraries: [String] = []) {
        self.folders = folders
        self.libraries = libraries
    }

    /// The module's file, if one of the folders has it.
    public func module(named name: String) throws -> ModuleSource? {
        let path = name.replacing(".", with: "/")
        for (folder, isForeign) in folders.map({ ($0, false) }) + libraries.map({ ($0, true) }) {
            for candidate in ["\(path).lua", "\(path)/init.lua"] {
                guard let data = try text(candidate, in: folder, for: name) else { continue }
                return ModuleSource(chunk: "\(folder)/\(candidate)", source: Array(data), isForeign: isForeign)
            }
        }
        for folder in folders + libraries where FileManager.default.fileExists(atPath: "\(folder)/\(path).so") {
            throw LuaError(
                .undefined, "module '\(name)' is a C library (\(folder)/\(path).so), which scripts cannot load",
                hint: "use a library written in Lua, or have the host offer what it does as a module")
        }
        return nil
    }

    private func text(_ candidate: String, in folder: String, for name: String) throws -> Data? {
        let real = URL(fileURLWithPath: folder).appendingPathComponent(candidate).resolvingSymlinksInPath()
        guard FileManager.default.fileExists(atPath: real.path) else { return nil }
        let roots = (folders + libraries).map { URL(fileURLWithPath: $0).resolvingSymlinksInPath().path }
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
