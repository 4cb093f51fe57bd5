// Any bytes as what C hands to the host: read as far as they are values, and what was read is written and read again
// to the same bytes. Compiled together with the sources of LuaHost that it tests, and with those of CLuaShim.

// libFuzzer calls on one thread.
nonisolated(unsafe) private let strings = StringCache()
nonisolated(unsafe) private let names: HostNames = {
    let names = HostNames()
    names.types = ["vm"]
    names.functions = ["host.call"]
    return names
}()

private func values(_ bytes: UnsafeRawBufferPointer) -> [LuaValue] {
    var reader = FlatReader(bytes, strings: strings, names: names)
    return reader.readAll()
}

private func flat(_ values: [LuaValue]) -> [UInt8] {
    var writer = FlatWriter(types: ["vm": 0])
    do { try writer.write(values) } catch { fatalError("what was read cannot be written: \(error)") }
    return writer.bytes
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzReader(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    let first = flat(values(UnsafeRawBufferPointer(start: data, count: size)))
    let again = flat(first.withUnsafeBytes(values))
    // Bytes are compared, not values: NaN is not equal to itself.
    guard first == again else { fatalError("\(first) reads as other values: \(again)") }
    return 0
}
