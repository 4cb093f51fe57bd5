internal import Foundation

/// Finds modules as files: `require "a.b"` is `a/b.lua` or `a/b/init.lua` below one of the folders, the first one first.
///
/// A link that leads out of its folder is not followed.
public struct FileModuleResolver: ModuleResolver {
    /// The folders, such as the script's own and the libraries'.
    public let folders: [String]
    private static let sizeLimit = 16 << 20

    /// Makes a resolver over folders.
    public init(folders: [String]) { self.folders = folders }

    /// The module's file, if one of the folders has it.
    public func module(named name: String) throws -> ModuleSource? {
        let path = name.replacing(".", with: "/")
        for folder in folders {
            let root = URL(fileURLWithPath: folder).resolvingSymlinksInPath()
            for candidate in ["\(path).lua", "\(path)/init.lua"] {
                let file = root.appendingPathComponent(candidate)
                let real = file.resolvingSymlinksInPath()
                guard FileManager.default.fileExists(atPath: real.path) else { continue }
                guard real.path.hasPrefix(root.path.hasSuffix("/") ? root.path : root.path + "/") else {
                    throw LuaError(
                        .undefined, "module '\(name)' is a link that leads out of \(folder)",
                        hint: "copy the file into the folder")
                }
                let attributes = try FileManager.default.attributesOfItem(atPath: real.path)
                guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
                guard let size = attributes[.size] as? NSNumber, size.intValue <= Self.sizeLimit else {
                    throw LuaError(.size, "module '\(name)' is larger than \(Self.sizeLimit) bytes")
                }
                let data = try Data(contentsOf: real)
                return ModuleSource(chunk: "\(folder)/\(candidate)", source: Array(data))
            }
        }
        return nil
    }
}
