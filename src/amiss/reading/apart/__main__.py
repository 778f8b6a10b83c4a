"""The process that decodes; started by `amiss.reading.apart` with the number of the shared file's descriptor, that of
its own process, and the module that it will need first."""

from amiss.reading.apart._child import main

main()
