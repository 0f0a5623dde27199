// `stoa log vkey`: the public half of the key that signs the access log, for the city to publish and for auditors to hold.
import ArgumentParser
import TransparencyLog

/// `stoa log …`
struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "About the access log of this installation.", subcommands: [LogVerifierKeyCommand.self])
}

/// `stoa log vkey`
struct LogVerifierKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vkey", abstract: "Prints the log's verifier key (C2SP signed-note), which checks its signed heads.",
        discussion: "Publish it: who holds it needs to trust nobody else for `stoa verify log --vkey …` and for what /log/checkpoint shows.")

    @OptionGroup var common: CommonOptions

    func run() async throws {
        let configuration = try await common.load()
        print(try KeyRing.logVerifier(configuration, keysDirectory: configuration.dataDirectory + "/keys").vkey)
    }
}
