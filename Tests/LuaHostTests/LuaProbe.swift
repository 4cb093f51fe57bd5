import CLuaProbe
import CLuaShim
import Foundation

@testable import LuaHost

/// What tests of the embedding look at and turn: parts of LuaHost and of the shim that no host reaches.
enum LuaProbe {
    /// What the engines closed so far still held when they were: tasks and bytes of the Lua heap.
    static var leaks: [Int] {
        let leaks = clua_probe_leaks()
        return [leaks.tasks, leaks.bytes]
    }

    /// Lets some allocations of this thread pass and fails those that follow, until called again.
    static func failAllocations(after: Int, count: Int) {
        clua_probe_fail_allocations(UInt64(after), UInt64(count))
    }

    /// Runs a script, which returns a text, in a plain state with Lua's own libraries.
    static func stock(_ source: String) -> [UInt8]? {
        let source = Array(source.utf8)
        var length = 0
        guard let text = clua_probe_stock(source, source.count, &length) else { return nil }
        defer { free(text) }
        return UnsafeBufferPointer(start: text, count: length).map { UInt8(bitPattern: $0) }
    }
}

extension LuaState {
    /// Fails allocations on the thread of this state; see ``LuaProbe``.
    func failAllocations(after: Int, count: Int) { LuaProbe.failAllocations(after: after, count: count) }

    /// Ends the failing and says how many allocations failed.
    func endFailing() -> Int {
        let refused = clua_probe_refused()
        clua_probe_fail_allocations(0, 0)
        return Int(refused)
    }

    /// How many requests for memory Lua was refused in this state.
    var refusedAllocations: UInt64 { clua_probe_engine_refused(vm.engine) }

    /// Decodes flat bytes to Lua values and encodes them again; nil when they are refused.
    func decode(_ bytes: [UInt8]) -> [UInt8]? {
        guard clua_probe_decode(vm.engine, bytes, bytes.count) == CLUA_OK else { return nil }
        var length = 0
        guard let output = clua_output(vm.engine, &length) else { return [] }
        return Array(UnsafeBufferPointer(start: output, count: length))
    }

    /// Reads flat bytes as the host reads arguments.
    func read(_ bytes: [UInt8]) -> [LuaValue] {
        bytes.withUnsafeBytes { bytes in
            var reader = FlatReader(bytes, bridge: vm.bridge)
            return reader.readAll()
        }
    }

    /// Those of Lua's own functions that can be reached from a script's environment, also through what hides them.
    func reachableFunctions() -> Set<String> {
        guard clua_probe_reachable(vm.engine) == CLUA_OK else { return [] }
        var length = 0
        guard let output = clua_output(vm.engine, &length) else { return [] }
        let text = String(decoding: UnsafeBufferPointer(start: output, count: length), as: UTF8.self)
        return Set(text.split(separator: "\n").map(String.init))
    }
}
