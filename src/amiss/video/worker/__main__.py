"""The process that decodes; started by `amiss.video.worker` with the number of the shared file's descriptor."""

from amiss.video.worker._child import main

main()
