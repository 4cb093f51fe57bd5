import Foundation
import LuaHost

/// Finds modules as files, and says of those that are powers why they are not there.
struct LibraryResolver: ModuleResolver {
    let files: FileModuleResolver

    /// Folders in the order of search: the script's own, those given, the standard library.
    init(folders: [String]) { files = FileModuleResolver(folders: folders) }

    func module(named name: String) throws -> ModuleSource? {
        if let found = try files.module(named: name) { return found }
        guard Power.planned.contains(name) else { return nil }
        throw LuaError(
            .notGranted, "the power '\(name)' is not granted to this run",
            hint: "it would be granted with --grant \(name), but this version has nothing behind that name yet")
    }
}

/// The folder of Lua modules that come with Perilune.
package enum StandardLibrary {
    /// Looks for it beside the program and above: in a source tree, or installed as `share/perilune/stdlib`.
    package static func locate(program: String) -> String? {
        var folder = URL(filePath: program).resolvingSymlinksInPath().deletingLastPathComponent()
        for _ in 0..<6 {
            for candidate in ["stdlib", "share/perilune/stdlib"] {
                let path = folder.appending(path: candidate).path
                if FileManager.default.fileExists(atPath: "\(path)/health.lua") { return path }
            }
            folder = folder.deletingLastPathComponent()
        }
        return nil
    }
}
