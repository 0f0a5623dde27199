import Hummingbird
import JWTKit
import ArgumentParser
@main struct StoaCommand: ParsableCommand { }
